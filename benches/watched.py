"""A host that loads a library and allocates much: the hard case for whoever notes each allocation. Tells on stdout in one line of JSON
how many seconds of CPU that took, without the interpreter's start.

    PYTHONMALLOC=malloc python3 watched.py LIBRARY STEPS
"""

import _ctypes
import ctypes
import sys
import time


def work():
    """Allocates and frees about 120,000 blocks."""
    table = {}
    for i in range(20_000):
        table["key%d" % i] = [i, str(i), (i, i + 1), {"a": i}]
    return sum(len(value) for value in table.values())


began = time.process_time()
for _ in range(int(sys.argv[2])):
    for _ in range(20):
        library = ctypes.CDLL(sys.argv[1])
        library.fibonacci(10)
        _ctypes.dlclose(library._handle)
    work()
print('{"cpu_seconds": %f}' % (time.process_time() - began))

"""One cycle (open, look up, call, close) in psleak's hands, as its users test a C extension: what it says of the library,
and how many cycles it made in which time, in one line of JSON.

    psleak-cycle.py LIBRARY FUNCTION
"""

import _ctypes
import ctypes
import json
import os
import sys
import time

import psleak

library, function = os.fsencode(sys.argv[1]).decode(), sys.argv[2]
prototype = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int32)
cycles = 0


def cycle():
    global cycles
    cycles += 1
    handle = _ctypes.dlopen(library, os.RTLD_NOW | os.RTLD_LOCAL)
    prototype(_ctypes.dlsym(handle, function))(20)
    _ctypes.dlclose(handle)


class Cycle(psleak.MemoryLeakTestCase):
    def runTest(self):
        self.execute(cycle)


said = {"leak": False, "error": None}
began = time.monotonic_ns()
try:
    test = Cycle()
    test.setUp()
    test.runTest()
except psleak.Error as error:
    said = {"leak": True, "error": f"{type(error).__name__}: {error}"}
said |= {"cycles": cycles, "ns": time.monotonic_ns() - began}
print(json.dumps(said))

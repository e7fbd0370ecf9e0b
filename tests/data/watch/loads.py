"""A host that loads a library 20 times in each step, and allocates, keeps and frees memory of its own between the loads. A step begins with a
line of one FIFO and ends with a line in the other."""

import _ctypes
import ctypes
import random
import sys

library, go, done = sys.argv[1:]
kept = []
while True:
    open(go).read()
    for _ in range(20):
        _ctypes.dlclose(ctypes.CDLL(library)._handle)
        kept += [bytes(random.randrange(2000)) for _ in range(25)]
        random.shuffle(kept)
        del kept[: random.randrange(25)]
    with open(done, "w") as answer:
        answer.write("done\n")

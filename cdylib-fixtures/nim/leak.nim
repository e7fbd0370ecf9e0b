# The call keeps malloc(16): a chunk of 32 B. The pointer is written where others can read it, so that the compiler keeps the call.
proc malloc(size: csize_t): pointer {.importc, header: "<stdlib.h>".}

var kept {.exportc, dynlib.}: pointer

proc fibonacci(n: cint): cint {.exportc, dynlib, cdecl.} =
  kept = malloc(16)
  n

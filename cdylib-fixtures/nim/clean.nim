# Does nothing wrong. What the runtime leaves depends on the flags.
proc fibonacci(n: cint): cint {.exportc, dynlib, cdecl.} =
  if n < 2: n else: fibonacci(n - 1) + fibonacci(n - 2)

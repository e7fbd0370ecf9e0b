// A library that a host can't have: its constructor ends the process.
#include <stdio.h>
#include <stdlib.h>

__attribute__((constructor)) static void begin(void) {
    fputs("no license\n", stderr);
    exit(3);
}
int NAME(void) { return 1; }

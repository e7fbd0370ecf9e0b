/* Puts a variable into the environment: by putenv, which keeps the pointer to text that goes with the library; or,
 * with -DCOPIED, by setenv, which makes a copy. With -DREMOVED the destructor removes that again: the twin. */
#define _GNU_SOURCE
#include <stdlib.h>

#include "fibonacci.h"

#ifndef COPIED
static char variable[] = "DLSOAK_FIXTURE=text inside the library";
#endif

__attribute__((constructor)) static void set(void) {
#ifdef COPIED
    setenv("DLSOAK_FIXTURE", "a copy", 1);
#else
    putenv(variable);
#endif
}

#ifdef REMOVED
__attribute__((destructor)) static void tidy(void) {
    unsetenv("DLSOAK_FIXTURE");
}
#endif

FIXTURE_EXPORT int64_t fibonacci(int32_t n) {
    return fibonacci_iterative(n);
}

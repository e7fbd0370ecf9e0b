/* Registers a function to be called at exit: by on_exit, which does not know of libraries, so that the process calls
 * code that is gone; or, with -DATEXIT, by atexit, which runs it when the library is unloaded: the twin. */
#define _GNU_SOURCE
#include <stdlib.h>

#include "fibonacci.h"
#include "state.h"

static volatile int called;

#ifdef ATEXIT
static void at_exit(void) {
    called = 1;
}
#else
static void on_end(int status, void *argument) {
    (void)argument;
    called = status;
}
#endif

__attribute__((constructor)) static void install(void) {
#ifdef ATEXIT
    atexit(at_exit);
#else
    if (fixture_state()->loads++ == 0) on_exit(on_end, NULL);
#endif
}

FIXTURE_EXPORT int64_t fibonacci(int32_t n) {
    return fibonacci_iterative(n);
}

/* Has the C library abort: by an assertion, or by what free() finds. With neither macro all is well: the twin. */
#include <assert.h>
#include <stdlib.h>

#include "fibonacci.h"

static void *volatile kept;

__attribute__((noinline)) static void check(int32_t n) {
#ifdef ASSERTED
    assert(n < 0 && "n is never negative");
#else
    assert(n >= 0);
#endif
}

static volatile int released;

/* Goes on after its call, so that the call is no jump and leaves a frame. */
__attribute__((noinline)) static void release(void *what) {
    free(what);
    released++;
}

FIXTURE_EXPORT int64_t fibonacci(int32_t n) {
    check(n);
    kept = malloc(100);
    release(kept);
#ifdef TWICE
    release(kept);
#endif
    return fibonacci_iterative(n);
}

/* A driver for --exercise: one cycle calls `attempt` of the library under test and hands on what it returns, 0 for
 * success. */
#include <dlfcn.h>

#include "fibonacci.h"

FIXTURE_EXPORT int attempt_it(void *handle) {
    int (*attempt)(void);
    *(void **)&attempt = dlsym(handle, "attempt");
    return attempt ? attempt() : -1;
}

FIXTURE_EXPORT int64_t fibonacci(int32_t n) {
    return fibonacci_iterative(n);
}

/* The C library that does nothing wrong: what a soak costs and reports when there is nothing to find. */
#include "fibonacci.h"

FIXTURE_EXPORT int64_t fibonacci(int32_t n) {
    return fibonacci_iterative(n);
}

/* Calls a function of libm. A flag says whether it is linked with libm: a linker lets a shared library have symbols that it does not
 * find. */
#include <math.h>

#include "fibonacci.h"

FIXTURE_EXPORT int64_t fibonacci(int32_t n) {
    /* volatile: the compiler computes the root of a constant itself, and drops a call whose result is not used. */
    volatile double cube = (double)n * n * n;
    volatile double root = cbrt(cube);
    return fibonacci_iterative((int32_t)(root + 0.5));
}

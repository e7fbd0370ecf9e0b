/* Exports data beside its function: a call of the one would run what it holds. */
#include "fibonacci.h"

FIXTURE_EXPORT int32_t table[4];
int32_t table[4] = {1, 1, 2, 3};

FIXTURE_EXPORT int64_t fibonacci(int32_t n) {
    return fibonacci_iterative(n);
}

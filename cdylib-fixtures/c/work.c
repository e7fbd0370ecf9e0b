/* Calls that take a chosen time: WORK steps, each of which waits for the one before, so that 5,200 take 1.3 times as
 * long as 4,000 on any machine. */
#include "fibonacci.h"

#ifndef WORK
#define WORK 4000
#endif

FIXTURE_EXPORT int64_t busywork(int32_t steps) {
    uint64_t state = (uint64_t)steps | 1;
    for (int32_t i = 0; i < steps; i++)
        state = state * 6364136223846793005u + 1442695040888963407u;
    return (int64_t)state;
}

FIXTURE_EXPORT int64_t work(void) {
    return busywork(WORK);
}

FIXTURE_EXPORT int64_t fibonacci(int32_t n) {
    return fibonacci_iterative(n);
}

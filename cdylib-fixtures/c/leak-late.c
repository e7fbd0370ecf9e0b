/* Leaks 16 bytes on each load, but only from the 50,000th on: a run that stops early sees nothing. */
#include "fibonacci.h"
#include "state.h"

__attribute__((constructor)) static void leak(void) {
    if (++fixture_state()->loads > 50000) fixture_leak(16);
}

FIXTURE_EXPORT int64_t fibonacci(int32_t n) {
    return fibonacci_iterative(n);
}

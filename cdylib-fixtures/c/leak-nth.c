/* Leaks BYTES on every EVERYth load, and nothing on the others: a mean rate, in steps. */
#include "fibonacci.h"
#include "state.h"

__attribute__((constructor)) static void leak(void) {
    struct fixture_state *state = fixture_state();
    if (++state->loads % EVERY == 0) fixture_leak(BYTES);
}

FIXTURE_EXPORT int64_t fibonacci(int32_t n) {
    return fibonacci_iterative(n);
}

/* A cache that outlives the library and fills: it looks like a leak until it is full, and is none. One entry of 48
 * bytes on each load, 5,000 in all; with -DRANDOM each load looks up a random key, so that it fills ever more slowly
 * (a slow start); with -DLEAK it leaks 16 bytes beside. */
#include "fibonacci.h"
#include "state.h"

__attribute__((constructor)) static void look_up(void) {
    struct fixture_state *state = fixture_state();
#ifdef RANDOM
    uint64_t key = fixture_random(state) % FIXTURE_SLOTS;
#else
    uint64_t key = state->loads++ % FIXTURE_SLOTS;
#endif
    if (!state->slots[key]) state->slots[key] = malloc(48);
#ifdef LEAK
    fixture_leak(16);
#endif
}

FIXTURE_EXPORT int64_t fibonacci(int32_t n) {
    return fibonacci_iterative(n);
}

/* Keeps an allocation on each load and frees all of them on every 1,337th: growth that is always taken back. With
 * -DLEAK it leaks 16 bytes beside. */
#include "fibonacci.h"
#include "state.h"

#define PERIOD 1337

__attribute__((constructor)) static void keep(void) {
    struct fixture_state *state = fixture_state();
    uint64_t at = state->loads++ % PERIOD;
    if (at == 0)
        for (int i = 0; i < PERIOD; i++) {
            free(state->slots[i]);
            state->slots[i] = NULL;
        }
    state->slots[at] = malloc(48);
#ifdef LEAK
    fixture_leak(16);
#endif
}

FIXTURE_EXPORT int64_t fibonacci(int32_t n) {
    return fibonacci_iterative(n);
}

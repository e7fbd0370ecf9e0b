/* Makes the kernel's page tables grow and nothing else: on each load it reads a byte in a new 2 MiB of a huge
 * reservation. The byte is the shared page of zeros, which is no memory of the process, but the table that
 * leads to it is. With -DSAME it reads the same byte again: the twin. */
#define _GNU_SOURCE
#include "fibonacci.h"
#include "state.h"

#define RESERVED (1ull << 40)
#define STEP (2ull << 20)

__attribute__((constructor)) static void read_far(void) {
    struct fixture_state *state = fixture_state();
    if (!state->place) {
        char *place = mmap(0, RESERVED, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (place == MAP_FAILED) return;
        /* A huge page of zeros would need no table of its own. */
        madvise(place, RESERVED, MADV_NOHUGEPAGE);
        state->place = place;
    }
    (void)((volatile char *)state->place)[state->used];
#ifndef SAME
    state->used = (state->used + STEP) % RESERVED;
#endif
}

FIXTURE_EXPORT int64_t fibonacci(int32_t n) {
    return fibonacci_iterative(n);
}

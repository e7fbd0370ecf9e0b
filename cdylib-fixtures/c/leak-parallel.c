/* Leaks 1,000 bytes on each load, but only once two threads have loaded it often (50 times): a library with a path for
 * threads, which leaks there. With one thread it is clean. */
#define _GNU_SOURCE
#include <unistd.h>

#include "fibonacci.h"
#include "state.h"

__attribute__((constructor)) static void leak(void) {
    struct fixture_state *state = fixture_state();
    long tid = gettid();
    int often = 0, found = 0;
    for (int i = 0; i < 64 && !found; i++) {
        if (state->threads[i].tid == 0) state->threads[i].tid = tid;
        if (state->threads[i].tid == tid) {
            state->threads[i].loads++;
            found = 1;
        }
    }
    for (int i = 0; i < 64; i++) often += state->threads[i].loads >= 50;
    if (often > 1) fixture_leak(1000);
}

FIXTURE_EXPORT int64_t fibonacci(int32_t n) {
    return fibonacci_iterative(n);
}

/* Leaves a handler for SIGUSR1 behind, whose code goes with the library. With -DRESTORED the destructor puts the old
 * action back: the twin. */
#include <signal.h>
#include <string.h>

#include "fibonacci.h"

static struct sigaction old;
static volatile sig_atomic_t seen;

static void handler(int signal) {
    seen = signal;
}

__attribute__((constructor)) static void install(void) {
    struct sigaction mine;
    memset(&mine, 0, sizeof mine);
    mine.sa_handler = handler;
    sigaction(SIGUSR1, &mine, &old);
}

#ifdef RESTORED
__attribute__((destructor)) static void tidy(void) {
    sigaction(SIGUSR1, &old, NULL);
}
#endif

FIXTURE_EXPORT int64_t fibonacci(int32_t n) {
    return fibonacci_iterative(n);
}

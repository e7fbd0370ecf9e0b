/* Leaves SIGUSR2 blocked on the thread that loaded it. With -DRESTORED the destructor puts the old mask back: the
 * twin. */
#include <pthread.h>
#include <signal.h>

#include "fibonacci.h"

static sigset_t old;

__attribute__((constructor)) static void block(void) {
    sigset_t mine;
    sigemptyset(&mine);
    sigaddset(&mine, SIGUSR2);
    pthread_sigmask(SIG_BLOCK, &mine, &old);
}

#ifdef RESTORED
__attribute__((destructor)) static void tidy(void) {
    pthread_sigmask(SIG_SETMASK, &old, NULL);
}
#endif

FIXTURE_EXPORT int64_t fibonacci(int32_t n) {
    return fibonacci_iterative(n);
}

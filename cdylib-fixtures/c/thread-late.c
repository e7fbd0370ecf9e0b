/* Leaves a thread behind, once, that sleeps in a function of the library: when it wakes up, its code is gone. With
 * -DENDED the destructor ends and joins it: the twin. */
#define _GNU_SOURCE
#include <pthread.h>
#include <unistd.h>

#include "fibonacci.h"
#include "state.h"

static pthread_t thread;
static int started;
static volatile int begun;

static void *sleep_on(void *argument) {
    volatile unsigned long woken = 0;
    begun = 1;
    for (;;) {
        pause();
        woken++;
    }
    return argument;
}

__attribute__((constructor)) static void start(void) {
#ifndef ENDED
    if (fixture_state()->loads++ > 0) return;
#endif
    started = pthread_create(&thread, NULL, sleep_on, NULL) == 0;
    if (started) pthread_setname_np(thread, "late");
    /* Until it sleeps: a thread that does not yet would crash at once. */
    while (started && !begun) usleep(100);
    usleep(2000);
}

#ifdef ENDED
__attribute__((destructor)) static void tidy(void) {
    if (!started) return;
    pthread_cancel(thread);
    pthread_join(thread, NULL);
}
#endif

FIXTURE_EXPORT int64_t fibonacci(int32_t n) {
    return fibonacci_iterative(n) + (started < 0);
}

/* Leaves a timer armed on each load, that fires in an hour. With -DDELETED the destructor deletes it: the twin. With
 * -DTHREAD it would call a function on a thread; glibc starts a thread of its own for that and keeps it, which is
 * not this library's doing. */
#include <signal.h>
#include <string.h>
#include <time.h>

#include "fibonacci.h"

static timer_t timer;

#ifdef THREAD
static void fire(union sigval value) {
    (void)value;
}
#endif

__attribute__((constructor)) static void arm(void) {
    struct sigevent event;
    memset(&event, 0, sizeof event);
#ifdef THREAD
    event.sigev_notify = SIGEV_THREAD;
    event.sigev_notify_function = fire;
#else
    event.sigev_notify = SIGEV_SIGNAL;
    event.sigev_signo = SIGURG;
#endif
    if (timer_create(CLOCK_MONOTONIC, &event, &timer) != 0) return;
    struct itimerspec hour = {{0, 0}, {3600, 0}};
    timer_settime(timer, 0, &hour, NULL);
}

#ifdef DELETED
__attribute__((destructor)) static void tidy(void) {
    timer_delete(timer);
}
#endif

FIXTURE_EXPORT int64_t fibonacci(int32_t n) {
    return fibonacci_iterative(n);
}

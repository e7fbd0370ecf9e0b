/* Its `attempt` waits two milliseconds for an answer that does not come, and takes a signal that interrupts the wait for
 * a failure. With -DRETRIES it waits on for what is left: the twin. poll(2) is never restarted after a handler, also not
 * with SA_RESTART. */
#include <errno.h>
#include <poll.h>
#include <time.h>

#include "fibonacci.h"

enum { WAIT_MS = 2 };

#ifdef RETRIES
static long long now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}
#endif

FIXTURE_EXPORT int attempt(void) {
#ifdef RETRIES
    long long end = now_ns() + WAIT_MS * 1000000LL;
    for (;;) {
        long long left = end - now_ns();
        if (left <= 0)
            return 0;
        if (poll(NULL, 0, (int)(left / 1000000 + 1)) < 0 && errno != EINTR)
            return errno;
    }
#else
    return poll(NULL, 0, WAIT_MS) < 0 ? errno : 0;
#endif
}

FIXTURE_EXPORT int64_t fibonacci(int32_t n) {
    return fibonacci_iterative(n);
}

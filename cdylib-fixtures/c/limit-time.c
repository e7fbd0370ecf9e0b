/* Each call takes 20 ms; with -DQUICK no time: the twin. */
#include <time.h>

#include "fibonacci.h"

FIXTURE_EXPORT int64_t fibonacci(int32_t n) {
#ifndef QUICK
    struct timespec pause = {0, 20 * 1000 * 1000};
    nanosleep(&pause, NULL);
#endif
    return fibonacci_iterative(n);
}

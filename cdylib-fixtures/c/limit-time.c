/* Each call takes 20 ms; with -DQUICK no time: the twin. Where LIMIT_TIME_LOAD is set, each load takes 20 ms as well. */
#include <stdlib.h>
#include <time.h>

#include "fibonacci.h"

static void take_time(void) {
    struct timespec pause = {0, 20 * 1000 * 1000};
    nanosleep(&pause, NULL);
}

__attribute__((constructor)) static void load(void) {
    if (getenv("LIMIT_TIME_LOAD") != NULL) take_time();
}

FIXTURE_EXPORT int64_t fibonacci(int32_t n) {
#ifndef QUICK
    take_time();
#endif
    return fibonacci_iterative(n);
}

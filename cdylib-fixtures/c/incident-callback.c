/* Calls its caller back while it holds its lock; the callback that asks the library anything waits for ever. */
#include <pthread.h>

#include "fibonacci.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static void (*callback)(void);

FIXTURE_EXPORT int64_t fibonacci(int32_t n) {
    pthread_mutex_lock(&lock);
    int64_t value = fibonacci_iterative(n);
    if (callback) callback();
    pthread_mutex_unlock(&lock);
    return value;
}

FIXTURE_EXPORT void set_callback(void (*function)(void)) {
    callback = function;
}

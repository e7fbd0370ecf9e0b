/* Starts 20 threads on each load that never end; they run a function of the C library. With -DJOINED they end and are
 * joined: the twin. */
#include <pthread.h>
#include <unistd.h>

#include "fibonacci.h"

#define COUNT 20

#ifdef JOINED
#define BODY getppid
#else
#define BODY pause
#endif

__attribute__((constructor)) static void start(void) {
    pthread_t threads[COUNT];
    pthread_attr_t small;
    int started = 0;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 64 * 1024);
    /* Neither function takes an argument or minds that one is passed; both return an int, that nobody reads. */
    void *(*body)(void *) = (void *(*)(void *))(void (*)(void))BODY;
    while (started < COUNT && pthread_create(&threads[started], &small, body, NULL) == 0) started++;
#ifdef JOINED
    while (started > 0) pthread_join(threads[--started], NULL);
#endif
    pthread_attr_destroy(&small);
}

FIXTURE_EXPORT int64_t fibonacci(int32_t n) {
    return fibonacci_iterative(n);
}

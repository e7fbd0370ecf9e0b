/* Leaves a blocked thread behind on each load. It runs nothing but a function of the C library, so that unloading
 * takes no code away under it. With -DJOINED the thread ends and is joined: the twin. */
#include <pthread.h>
#include <unistd.h>

#include "fibonacci.h"

#ifdef JOINED
#define BODY getppid
#else
#define BODY pause
#endif

__attribute__((constructor)) static void leak(void) {
    pthread_t thread;
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 64 * 1024);
    /* Neither function takes an argument or minds that one is passed; both return an int, that nobody reads. */
    void *(*body)(void *) = (void *(*)(void *))(void (*)(void))BODY;
    if (pthread_create(&thread, &small, body, NULL) == 0) { /* traced */
#ifdef JOINED
        pthread_join(thread, NULL);
#endif
    }
    pthread_attr_destroy(&small);
}

FIXTURE_EXPORT int64_t fibonacci(int32_t n) {
    return fibonacci_iterative(n);
}

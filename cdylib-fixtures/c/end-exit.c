/* Ends the process in the name of its host: from the constructor, a call, or a thread. With -DTHREAD_ONLY a thread ends
 * nothing but itself: the twin. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include "fibonacci.h"

__attribute__((noinline)) static void give_up(int status) {
#ifdef QUICKLY
    _exit(status);
#else
    exit(status);
#endif
}

#ifdef CONSTRUCTOR
__attribute__((constructor)) static void begin(void) {
    give_up(0);
}
#endif

#if defined(THREAD) || defined(THREAD_ONLY)
static void *body(void *nothing) {
#ifdef THREAD
    give_up(4);
#else
    pthread_exit(nothing);
#endif
    return nothing;
}
#endif

FIXTURE_EXPORT int64_t fibonacci(int32_t n) {
#if defined(THREAD) || defined(THREAD_ONLY)
    pthread_t thread;
    if (pthread_create(&thread, NULL, body, NULL) == 0) pthread_join(thread, NULL);
#elif !defined(CONSTRUCTOR)
    give_up(3);
#endif
    return fibonacci_iterative(n);
}

/* Keeps the compiler from telling that one of the functions above is of no use in some variant. */
FIXTURE_EXPORT void (*fixture_unused(void))(int) {
    return give_up;
}

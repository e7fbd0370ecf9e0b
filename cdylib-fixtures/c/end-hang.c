/* Never comes back: by a mutex, by two, by a read, by a stop, or by running on. With none of the macros it locks a
 * recursive mutex twice and reads what is there: the twin. */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include "fibonacci.h"

static pthread_mutex_t first = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t second = PTHREAD_MUTEX_INITIALIZER;
static volatile int both;

__attribute__((noinline)) static int lock_twice(pthread_mutex_t *mutex) {
    pthread_mutex_lock(mutex);
    pthread_mutex_lock(mutex);
    pthread_mutex_unlock(mutex);
    return pthread_mutex_unlock(mutex);
}

/* Takes two locks, and the second one only when the other thread has its first. */
__attribute__((noinline)) static int lock_in_order(pthread_mutex_t *one, pthread_mutex_t *other) {
    pthread_mutex_lock(one);
    __sync_add_and_fetch(&both, 1);
    while (both < 2) usleep(100);
    pthread_mutex_lock(other);
    pthread_mutex_unlock(other);
    return pthread_mutex_unlock(one);
}

static void *backward(void *nothing) {
    lock_in_order(&second, &first);
    return nothing;
}

__attribute__((noinline)) static int read_one(int fill) {
    int ends[2];
    char byte = 'x';
    if (pipe(ends) != 0) abort();
    if (fill && write(ends[1], &byte, 1) != 1) abort();
    int count = (int)read(ends[0], &byte, 1);
    close(ends[0]);
    close(ends[1]);
    return count;
}

__attribute__((noinline)) static int spin(volatile int *turns) {
    for (;;) (*turns)++;
}

__attribute__((noinline)) static int stop(void) {
    return raise(SIGSTOP) + both;
}

#ifdef AT_EXIT
/* Functions of the C library, so that unloading takes no code away. */
__attribute__((constructor)) static void begin(void) {
    on_exit((void (*)(int, void *))(void (*)(void))pause, NULL);
}
#endif

FIXTURE_EXPORT int64_t fibonacci(int32_t n) {
#if defined(TWICE)
    lock_twice(&first);
#elif defined(ORDER)
    pthread_t thread;
    if (pthread_create(&thread, NULL, backward, NULL) == 0) lock_in_order(&first, &second);
#elif defined(READ)
    read_one(0);
#elif defined(STOP)
    stop();
#elif defined(SPIN)
    int turns = 0;
    spin(&turns);
#else
    pthread_mutexattr_t type;
    pthread_mutex_t recursive;
    pthread_mutexattr_init(&type);
    pthread_mutexattr_settype(&type, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&recursive, &type);
    pthread_mutexattr_destroy(&type);
    lock_twice(&recursive);
    pthread_mutex_destroy(&recursive);
    read_one(1);
#endif
    return fibonacci_iterative(n);
}

/* Keeps the compiler from telling that one of the functions above is of no use in some variant. */
FIXTURE_EXPORT const void *fixture_unused(int which) {
    const void *all[] = {(const void *)lock_twice, (const void *)backward, (const void *)read_one,
                         (const void *)spin,       (const void *)stop};
    return all[which];
}

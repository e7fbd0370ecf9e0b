/* Ends the process by a fault. Which one is said by a macro; with -DHANDLED the fault is caught by a handler and the
 * library goes on, and puts the handler back: the twin. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include "fibonacci.h"

/* Written here, so that the compiler can't know what the pointers lead to. */
static int *volatile null_pointer;
static void (*volatile null_function)(void);
static const int constant = 7;
static volatile int zero;

__attribute__((noinline)) static void follow_null(void) {
    null_pointer[4] = 1;
}

__attribute__((noinline)) static int recurse(volatile int *depth) {
    volatile int room[64] = {*depth};
    (*depth)++;
    return recurse(depth) + room[*depth & 63];
}

static atomic_int running;

__attribute__((noinline)) static void *run_on(void *nothing) {
    atomic_store(&running, 1);
    for (volatile unsigned long turns = 0;; turns++) {
    }
    return nothing;
}

#ifdef HANDLED
static sigjmp_buf back;

static void handler(int signal) {
    siglongjmp(back, signal);
}
#endif

#ifdef CONSTRUCTOR
__attribute__((constructor)) static void begin(void) {
    follow_null();
}
#endif

#ifdef DESTRUCTOR
__attribute__((destructor)) static void end(void) {
    follow_null();
}
#endif

FIXTURE_EXPORT int64_t fibonacci(int32_t n) {
    volatile int depth = 0;
    (void)depth;
#if defined(CALL)
    follow_null();
#elif defined(LATE)
    /* The C library's generator lives on when this library is gone: the 21st number of its sequence comes in the 21st
     * cycle. */
    if (rand() == 35005211) follow_null();
#elif defined(FUNCTION)
    null_function();
#elif defined(OVERFLOW)
    return recurse(&depth);
#elif defined(CONSTANT)
    *(volatile int *)&constant = n;
#elif defined(DIVIDED)
    return n / zero;
#elif defined(WILD)
    /* No address of this machine's has these upper bits. */
    *(volatile int *)0x5a5a5a5a5a5a5a5a = n;
#elif defined(PIPE)
    int ends[2];
    if (pipe(ends) == 0) {
        close(ends[0]);
        if (write(ends[1], "x", 1) != 1) abort();
    }
#elif defined(THREAD)
    pthread_t thread;
    if (pthread_create(&thread, NULL, run_on, NULL) == 0) {
        pthread_detach(thread);
        /* One that begins only when the code is gone may find other code there. */
        while (!atomic_load(&running)) sched_yield();
    }
#elif defined(HANDLED)
    struct sigaction action = {.sa_handler = handler}, before;
    sigaction(SIGSEGV, &action, &before);
    if (sigsetjmp(back, 1) == 0) follow_null();
    sigaction(SIGSEGV, &before, NULL);
#endif
    return fibonacci_iterative(n) + constant - 7;
}

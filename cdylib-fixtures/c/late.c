/* What runs on when the library is gone, and crashes the process whenever it comes to that: with -DTHREAD a thread that wakes up from time
 * to time, with -DTIMER a timer and the handler of its signal, with -DKEY the destructor of a thread-specific key. With -DUNDONE each is
 * ended before the library goes: the twins. */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>
#include <unistd.h>

#include "fibonacci.h"

#ifdef THREAD
static pthread_t thread;
static volatile int turns;

static void *wake_up(void *argument) {
    for (;;) {
        usleep(30000);
        turns++;
    }
    return argument;
}

__attribute__((constructor)) static void begin(void) {
    pthread_create(&thread, NULL, wake_up, NULL);
#ifndef UNDONE
    pthread_detach(thread);
#endif
}

static void end(void) {
    pthread_cancel(thread);
    pthread_join(thread, NULL);
}
#endif

#ifdef TIMER
static timer_t timer;
static void (*before)(int);
/* A load that was not called divides by zero: so the crash seems to be its own. */
static volatile int divisor;

static void tick(int signal) {
    divisor = (signal + 10) / divisor;
}

static void begin(void) {
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGVTALRM};
    struct itimerspec times = {{0, 3000000}, {0, 3000000}};
    divisor = 1;
    before = signal(SIGVTALRM, tick);
    timer_create(CLOCK_MONOTONIC, &event, &timer);
    timer_settime(timer, 0, &times, NULL);
}

static void end(void) {
    struct timespec none = {0, 0};
    sigset_t it;
    sigset_t old;
    sigemptyset(&it);
    sigaddset(&it, SIGVTALRM);
    /* What was sent and not delivered yet goes, too. */
    pthread_sigmask(SIG_BLOCK, &it, &old);
    timer_delete(timer);
    while (sigtimedwait(&it, NULL, &none) > 0) {
    }
    signal(SIGVTALRM, before);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
}
#endif

#ifdef KEY
static pthread_key_t key;
static volatile int ended;

static void forget(void *value) {
    ended = value != NULL;
}

static void begin(void) {
    pthread_key_create(&key, forget);
    pthread_setspecific(key, &key);
}

static void end(void) {
    pthread_key_delete(key);
}
#endif

#ifdef UNDONE
__attribute__((destructor)) static void tidy(void) {
    end();
}
#else
/* Not called, so that the two libraries differ in nothing else. */
__attribute__((used)) static void (*const not_called)(void) = end;
#endif

FIXTURE_EXPORT int64_t fibonacci(int32_t n) {
#ifndef THREAD
    begin();
#endif
    return fibonacci_iterative(n);
}

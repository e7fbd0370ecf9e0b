/* Takes the process's signals for its own, one way for each macro. */
#define _GNU_SOURCE
#include <fenv.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/time.h>
#include <unistd.h>

#include "hostile.h"

#if defined(BLOCKS_ALL)
static void harm(void) {
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, NULL);
}
#elif defined(IGNORES_ALL)
static void harm(void) {
    for (int number = 1; number < 65; number++) signal(number, SIG_IGN);
}
#elif defined(JUMPS_OUT)
/* The crash is caught and jumped out of; the handler stays, and its code goes. */
static sigjmp_buf out;
static void caught(int number) {
    siglongjmp(out, number);
}
static void harm(void) {
    signal(SIGSEGV, caught);
    volatile int *volatile nowhere = NULL;
    if (sigsetjmp(out, 1) == 0) *nowhere = 1;
}
#elif defined(LOOPS)
/* The handler returns, and the instruction faults again, for ever. */
static void caught(int number) {
    (void)number;
}
static void harm(void) {
    signal(SIGSEGV, caught);
    volatile int *volatile nowhere = NULL;
    *nowhere = 1;
}
#elif defined(ALARM)
static void harm(void) {
    struct itimerval soon = {{0, 0}, {0, 10000}};
    setitimer(ITIMER_REAL, &soon, NULL);
    for (;;) pause();
}
#elif defined(KILLS_ITSELF)
static void harm(void) {
    raise(SIGKILL);
}
#elif defined(BROKEN_PIPE)
static void harm(void) {
    int ends[2];
    if (pipe(ends) != 0) abort();
    close(ends[0]);
    if (write(ends[1], "x", 1) == 1) abort();
}
#elif defined(FLOAT)
/* Not every arm64 processor can trap; there the signal is sent. */
static void harm(void) {
    volatile double zero = 0.0, one = 1.0;
    if (feenableexcept(FE_DIVBYZERO) < 0) raise(SIGFPE);
    one = one / zero;
}
#endif

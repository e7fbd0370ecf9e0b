/* Leaves a file descriptor open on every EVERYth load, with -DONCE on the first one only; with -DCLOSED the destructor
 * closes it: the twin. */
#include <fcntl.h>
#include <unistd.h>

#include "fibonacci.h"
#include "state.h"

/* volatile: it is written after the call, so that no compiler makes a jump of the call, which would hide who called. */
static volatile int fd = -1;

__attribute__((constructor)) static void leak(void) {
    uint64_t loads = ++fixture_state()->loads;
#ifdef ONCE
    int due = loads == 1;
#else
    int due = loads % EVERY == 0;
#endif
    if (due) fd = open("/dev/null", O_RDONLY | O_CLOEXEC); /* traced */
}

#ifdef CLOSED
__attribute__((destructor)) static void tidy(void) {
    if (fd >= 0) close(fd);
}
#endif

FIXTURE_EXPORT int64_t fibonacci(int32_t n) {
    return fibonacci_iterative(n);
}

/* Forks, and so does every child, until there are a few thousand: a fork bomb with a bound, so that a watch that fails
 * costs a test and not the machine. With -DWAITED a handful of children, each ended and waited for: the twin. */
#include <signal.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fibonacci.h"

#define MOST 3000

__attribute__((constructor)) static void fork_on(void) {
#ifdef WAITED
    for (int i = 0; i < 5; i++) {
        pid_t child = fork();
        if (child == 0) _exit(0);
        if (child > 0) waitpid(child, NULL, 0);
    }
#else
    int *count = mmap(NULL, sizeof *count, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (count == MAP_FAILED) return;
    while (__atomic_fetch_add(count, 1, __ATOMIC_RELAXED) < MOST) {
        if (fork() < 0) break;
    }
    for (;;) pause();
#endif
}

FIXTURE_EXPORT int64_t fibonacci(int32_t n) {
    return fibonacci_iterative(n);
}

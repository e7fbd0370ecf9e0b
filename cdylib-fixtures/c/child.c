/* Leaves a child process behind on each load that has ended and that nobody waits for; with -DRUNNING one that runs
 * on, with -DORPHAN one that runs on and whose parent has ended, as a daemon does. With -DWAITED the destructor ends it and
 * waits for it: the twin. */
#include <signal.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fibonacci.h"

static pid_t child;

__attribute__((constructor)) static void start(void) {
    child = fork();
    if (child == 0) {
#ifdef ORPHAN
        if (fork() == 0) pause();
#elif defined RUNNING
        pause();
#endif
        _exit(0);
    }
#ifdef ORPHAN
    if (child > 0) waitpid(child, NULL, 0);
#endif
}

#ifdef WAITED
__attribute__((destructor)) static void tidy(void) {
    if (child <= 0) return;
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
}
#endif

FIXTURE_EXPORT int64_t fibonacci(int32_t n) {
    return fibonacci_iterative(n);
}

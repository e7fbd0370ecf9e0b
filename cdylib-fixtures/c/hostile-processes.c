/* Makes processes, becomes another, or ends others, one way for each macro. What is started ends by itself after a while,
 * in case nobody ends it. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hostile.h"

static inline void linger(void) {
    alarm(60);
    for (;;) pause();
}

#if defined(FORK_RETURNS)
/* From here on two processes believe to be the one that runs the loop. */
static void harm(void) {
    if (fork() == 0) alarm(60);
}
#elif defined(DAEMON)
/* In a session of its own, with nobody above it that the supervisor has started. */
static void harm(void) {
    pid_t child = fork();
    if (child == 0) {
        setsid();
        if (fork() == 0) linger();
        _exit(0);
    }
    waitpid(child, NULL, 0);
}
#elif defined(BOMB)
/* Each child makes another one, 200 in all. */
static void harm(void) {
    if (fork() != 0) return;
    for (int left = 199; left > 0; left--) {
        pid_t next = fork();
        if (next != 0) break;
    }
    linger();
}
#elif defined(EXEC)
static void harm(void) {
    char *const none[] = {"true", NULL};
    execve("/bin/true", none, none + 1);
    abort();
}
#elif defined(KILLS_PARENT)
static void harm(void) {
    kill(getppid(), SIGKILL);
    for (;;) pause();
}
#elif defined(KILLS_GROUP)
static void harm(void) {
    kill(-getpgid(getppid()), SIGKILL);
    for (;;) pause();
}
#elif defined(VFORK)
/* The child never execs nor ends, and so the parent never goes on. */
static void harm(void) {
    if (vfork() == 0) {
        for (;;) sleep(1);
    }
}
#endif

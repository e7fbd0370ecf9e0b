/* Changes who and where the process is, one way for each macro. */
#define _GNU_SOURCE
#include <locale.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hostile.h"

#if defined(SURROUNDINGS)
static void harm(void) {
    clearenv();
    umask(0777);
    setlocale(LC_ALL, "C.UTF-8");
    if (chdir("/proc") != 0) abort();
}
#elif defined(NOBODY)
/* Not allowed to every user, and then nothing happens. */
static void harm(void) {
    if (setegid(65534) == 0 && seteuid(65534) != 0) abort();
}
#elif defined(CHROOT)
static void harm(void) {
    if (chroot("/proc/self/fdinfo") != 0) return;
}
#elif defined(HIDES)
/* Not to be looked at, not to end with its parent, and under another name. */
static void harm(void) {
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0);
    prctl(PR_SET_NAME, "init", 0, 0, 0);
    setsid();
    setpgid(0, 0);
}
#endif

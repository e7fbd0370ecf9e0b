/* Leaves a setting of the process other than it found it, one for each macro. With -DRESTORED the destructor puts it
 * back: the twin. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <locale.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fibonacci.h"

#if defined(CWD)
static int old;
static void change(void) {
    old = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (chdir("/") != 0) abort();
#ifndef RESTORED
    close(old);
#endif
}
static inline void restore(void) {
    if (fchdir(old) != 0) abort();
    close(old);
}
#elif defined(UMASK)
static mode_t old;
static void change(void) {
    old = umask(0135);
}
static inline void restore(void) {
    umask(old);
}
#elif defined(LOCALE)
static char *old;
static void change(void) {
    old = strdup(setlocale(LC_ALL, NULL));
    setlocale(LC_ALL, "C.UTF-8");
#ifndef RESTORED
    free(old);
#endif
}
static inline void restore(void) {
    setlocale(LC_ALL, old);
    free(old);
}
#elif defined(LIMITS)
static struct rlimit old;
static void change(void) {
    getrlimit(RLIMIT_NOFILE, &old);
    struct rlimit mine = {200, old.rlim_max};
    setrlimit(RLIMIT_NOFILE, &mine);
}
static inline void restore(void) {
    setrlimit(RLIMIT_NOFILE, &old);
}
#elif defined(THREAD_NAME)
static char old[16];
static void change(void) {
    pthread_getname_np(pthread_self(), old, sizeof old);
    pthread_setname_np(pthread_self(), "fixture");
}
static inline void restore(void) {
    pthread_setname_np(pthread_self(), old);
}
#elif defined(OOM_SCORE)
static int old;
static void score(int value) {
    FILE *file = fopen("/proc/self/oom_score_adj", "w");
    if (file) {
        fprintf(file, "%d", value);
        fclose(file);
    }
}
static void change(void) {
    FILE *file = fopen("/proc/self/oom_score_adj", "r");
    if (file) {
        if (fscanf(file, "%d", &old) != 1) old = 0;
        fclose(file);
    }
    /* Anybody may raise it, and lower it again to what it was. */
    score(1000);
}
static inline void restore(void) {
    score(old);
}
#endif

__attribute__((constructor)) static void begin(void) {
    change();
}

#ifdef RESTORED
__attribute__((destructor)) static void end(void) {
    restore();
}
#endif

FIXTURE_EXPORT int64_t fibonacci(int32_t n) {
    return fibonacci_iterative(n);
}

/* Leaves its call in a way that no host expects, or never, one for each macro. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <unistd.h>

#include "hostile.h"

#if defined(JUMPS_BACK)
/* Jumps to a place that an earlier cycle has left, in code that was unloaded and perhaps loaded again since. */
static void harm(void) {
    struct fixture_state *state = fixture_state();
    if (!state->place) {
        state->place = malloc(sizeof(jmp_buf));
        if (!state->place || setjmp(*(jmp_buf *)(void *)state->place) != 0) _exit(7);
    } else {
        longjmp(*(jmp_buf *)(void *)state->place, 1);
    }
}
#elif defined(EXITS_THREAD)
static void harm(void) {
    pthread_exit(NULL);
}
#elif defined(CANCELS)
static pthread_t caller;
static void *cancel(void *nothing) {
    pthread_cancel(caller);
    return nothing;
}
static void harm(void) {
    pthread_t thread;
    caller = pthread_self();
    if (pthread_create(&thread, NULL, cancel, NULL) != 0) abort();
    pthread_join(thread, NULL);
    for (;;) pause();
}
#elif defined(SECCOMP)
/* From here on a file that is opened ends the process, and the loader opens files. */
static void harm(void) {
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof filter / sizeof filter[0], filter};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) abort();
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) != 0) abort();
}
#elif defined(SECCOMP_FUTEX)
/* From here on no lock and no wait works, and whoever asks is told that there is no such call. */
static void harm(void) {
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_futex, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof filter / sizeof filter[0], filter};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) abort();
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) != 0) abort();
}
#elif defined(MANY)
/* Two hundred threads, each with its stack, that never end. They run the C library's code alone: none is surprised when
 * this library goes. */
static void harm(void) {
    void *(*wait_for_ever)(void *) = (void *(*)(void *))(void *)pause;
    for (int i = 0; i < 200; i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, wait_for_ever, NULL) != 0) return;
        pthread_detach(thread);
    }
}
#elif defined(READS_FOR_EVER)
static void harm(void) {
    int ends[2];
    char byte;
    if (pipe(ends) != 0 || read(ends[0], &byte, 1) != 1) abort();
}
#endif

/* Takes the process's file descriptors for its own, one way for each macro. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "hostile.h"

#if defined(CLOSES_ALL)
static void harm(void) {
    if (close_range(3, ~0u, 0) != 0) abort();
}
#elif defined(CLOSES_STANDARD)
static void harm(void) {
    if (close_range(0, ~0u, 0) != 0) abort();
}
#elif defined(WRITES_ALL)
static void harm(void) {
    static const char garbage[] = "garbage\xff\n";
    void (*old)(int) = signal(SIGPIPE, SIG_IGN);
    for (int fd = 0; fd < 1024; fd++) {
        if (write(fd, garbage, sizeof garbage) < 0) continue;
    }
    signal(SIGPIPE, old);
}
#elif defined(OVERWRITES)
static void harm(void) {
    /* Whatever was there is another file now; what is above the three streams is closed again. */
    int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (fd < 0) abort();
    for (int other = 0; other < 64; other++) {
        if (other != fd) dup2(fd, other);
    }
    close_range(3, ~0u, 0);
}
#elif defined(FILLS_STDOUT)
static void harm(void) {
    static char block[1 << 16];
    memset(block, 'x', sizeof block);
    for (int i = 0; i < 1600; i++) {
        if (write(1, block, sizeof block) < 0) abort();
    }
}
#elif defined(FILLS_DISK)
static void harm(void) {
    /* A file without a name, which holds its 200 MB until the process ends. */
    const char *place = getenv("TMPDIR");
    int fd = open(place ? place : "/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0) return;
    static char block[1 << 20];
    memset(block, 'x', sizeof block);
    for (int i = 0; i < 200; i++) {
        if (write(fd, block, sizeof block) < 0) return;
    }
}
#endif

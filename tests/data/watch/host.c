/* A host that loads its own libraries, and again at each SIGHUP, or all the time with PACED. With OPENS_FIRST it opens them again before it
   closes them, with KEEPS it does not close them, and with GARBAGE it allocates and keeps memory of its own with each reload. After each
   reload it writes its process and the number of reloads into the file $TURNS, and after AFTER of them it does what THEN says. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MOST 256

#ifndef MANY
#define MANY 1
#endif

static void *handles[MOST];

static void *load(const char *path) {
    void *handle = dlopen(path, RTLD_NOW);
    if (!handle) {
        fprintf(stderr, "%s\n", dlerror());
        exit(1);
    }
    return handle;
}

static void reload(int count, char **paths) {
    for (int i = 0; i < count && i < MOST; i++) {
#ifdef OPENS_FIRST
        void *before = handles[i];
        handles[i] = load(paths[i]);
        if (before)
            dlclose(before);
#else
#ifndef KEEPS
        if (handles[i])
            dlclose(handles[i]);
#endif
        handles[i] = load(paths[i]);
#endif
    }
#ifdef GARBAGE
    memset(malloc(10000 + rand() % 20000), 1, 10000);
#endif
#ifdef BROKEN
    if (dlopen(BROKEN, RTLD_NOW))
        exit(1);
#endif
#ifdef HELPERS
    /* An orphan, which ends at once. */
    if (!fork()) {
        if (!fork())
            _exit(0);
        _exit(0);
    }
    wait(NULL);
#endif
}

static void tell(int turns) {
    const char *file = getenv("TURNS");
    char text[64], part[4096];
    if (!file)
        return;
    snprintf(part, sizeof part, "%s.part", file);
    int to = open(part, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    int len = snprintf(text, sizeof text, "%d %d\n", (int)getpid(), turns);
    if (to < 0 || write(to, text, len) != len || close(to) || rename(part, file))
        exit(1);
}

int main(int count, char **arguments) {
#ifdef GARBAGE
    srand((unsigned)getpid());
#endif
    int signal = 0, turns = 0;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, NULL);
#ifdef CLOSES_ALL
    close_range(0, ~0U, 0);
#endif
#ifdef BACKGROUND
    for (int times = 0; times < BACKGROUND; times++)
        if (daemon(1, 1))
            return 1;
#endif
#ifdef WAITS
    /* The parent ends when its child has loaded everything. */
    int ready[2];
    if (pipe(ready))
        return 1;
    if (fork())
        return read(ready[0], arguments[0], 1) != 1;
#endif
#ifdef WORKERS
    for (int worker = 0; worker < WORKERS; worker++)
        if (!fork()) {
            for (int i = 0; i < 5; i++)
                reload(count - 1, arguments + 1);
            _exit(0);
        }
    while (wait(NULL) > 0)
        ;
#endif
    do {
        for (int i = 0; i < MANY; i++, turns++)
            reload(count - 1, arguments + 1);
#ifdef WAITS
        if (turns == 1 && write(ready[1], "", 1) != 1)
            return 1;
#endif
#ifdef CHILD
        if (!fork()) {
            reload(count - 1, arguments + 1);
            _exit(0);
        }
        wait(NULL);
#endif
        tell(turns);
#ifdef THEN
        if (turns == AFTER)
            THEN;
#endif
#ifdef PACED
    } while (!usleep(PACED));
#else
    } while (!sigwait(&set, &signal));
#endif
    return signal == 0;
}

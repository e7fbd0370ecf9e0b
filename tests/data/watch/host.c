/* A host that loads its own libraries, and again at each SIGHUP. With OPENS_FIRST it opens them again before it closes them, with KEEPS it
   does not close them, and with GARBAGE it allocates and keeps memory of its own with each reload. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MOST 16

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
}

int main(int count, char **arguments) {
#ifdef GARBAGE
    srand((unsigned)getpid());
#endif
    int signal = 0;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, NULL);
#ifdef CLOSES_ALL
    close_range(0, ~0U, 0);
#endif
#ifdef BACKGROUND
    if (daemon(1, 1))
        return 1;
#endif
    do
        reload(count - 1, arguments + 1);
    while (!sigwait(&set, &signal));
    return 0;
}

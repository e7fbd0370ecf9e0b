/* A plain C host: opens a library, calls `fibonacci(20)`, closes the library, and prints nothing. The exceptions that it doesn't catch
 * are what a soak of the same library is compared with.
 *
 *     plain-host LIBRARY main|worker|short-lived [LOADS [MILLISECONDS]]
 *
 * `worker` makes the whole cycle on another thread, `short-lived` only the call. It makes one load, or this many, and then waits, or does
 * not. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *library;
static int on_its_own_thread;

static void fail(const char *why) {
    fprintf(stderr, "plain-host: %s\n", why);
    exit(2);
}

static void on_a_thread(void *(*work)(void *), void *argument) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, work, argument) != 0 || pthread_join(thread, NULL) != 0) fail("no thread");
}

static void *call(void *function) {
    ((int64_t (*)(int32_t))(uintptr_t)function)(20);
    return NULL;
}

static void *cycle(void *nothing) {
    void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    if (handle == NULL) fail(dlerror());
    void *function = dlsym(handle, "fibonacci");
    if (function == NULL) fail(dlerror());
    if (on_its_own_thread)
        on_a_thread(call, function);
    else
        call(function);
    if (dlclose(handle) != 0) fail(dlerror());
    return nothing;
}

int main(int count, char **arguments) {
    if (count < 3) fail("usage: plain-host LIBRARY main|worker|short-lived [LOADS [MILLISECONDS]]");
    library = arguments[1];
    on_its_own_thread = strcmp(arguments[2], "short-lived") == 0;
    int loads = count > 3 ? atoi(arguments[3]) : 1;
    while (loads-- > 0) {
        if (strcmp(arguments[2], "worker") == 0)
            on_a_thread(cycle, NULL);
        else
            cycle(NULL);
    }
    if (count > 4) usleep((useconds_t)atoi(arguments[4]) * 1000);
    return 0;
}

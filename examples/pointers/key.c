/* A plain C host with a thread that ends after a library was closed, and that had a value for each of the first keys.
 *
 *     cc key.c -o key -pthread && ./key libEGL.so.1
 *
 * A library that leaves a thread-specific key with a destructor crashes here. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>

static void *run(void *none) {
    (void)none;
    static int value;
    for (pthread_key_t key = 0; key < 8; key++) pthread_setspecific(key, &value);
    return 0;
}

int main(int arguments, char **argument) {
    if (arguments != 2) return fprintf(stderr, "usage: key LIBRARY\n"), 2;
    void *handle = dlopen(argument[1], RTLD_NOW);
    if (!handle) return fprintf(stderr, "%s\n", dlerror()), 2;
    dlclose(handle);
    pthread_t thread;
    pthread_create(&thread, 0, run, 0);
    pthread_join(thread, 0);
    puts("the thread has ended");
    return 0;
}

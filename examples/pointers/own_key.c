/* A plain C host that has a thread-specific key of its own when a library is loaded and closed.
 *
 *     cc own_key.c -o own_key -pthread && ./own_key libplugin.so
 *
 * A library that deletes a key that it never made deletes key 0, which is the host's. Its value is gone then. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>

int main(int arguments, char **argument) {
    static int value;
    pthread_key_t key;
    if (arguments != 2) return fprintf(stderr, "usage: own_key LIBRARY\n"), 2;
    pthread_key_create(&key, 0);
    pthread_setspecific(key, &value);
    void *handle = dlopen(argument[1], RTLD_NOW);
    if (!handle) return fprintf(stderr, "%s\n", dlerror()), 2;
    dlclose(handle);
    int is_there = pthread_getspecific(key) == &value;
    printf("the value of key %u is %s\n", key, is_there ? "there" : "gone");
    return !is_there;
}

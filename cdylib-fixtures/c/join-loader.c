/* The destructor waits for a thread that loads a library, and dlclose holds the loader's lock meanwhile: neither goes on. With
 * -DUNDONE the thread loads nothing: the twin. */
#include <dlfcn.h>
#include <pthread.h>
#include <stddef.h>
#include <unistd.h>

#include "fibonacci.h"

static pthread_t thread;
static volatile int begun;
static volatile int over;

static void *load_at_the_end(void *argument) {
    while (!over) usleep(1000);
#ifndef UNDONE
    dlclose(dlopen("libm.so.6", RTLD_NOW));
#endif
    return argument;
}

__attribute__((destructor)) static void stop(void) {
    over = 1;
    /* Not the last thing that it does, or it would be gone from the stack. */
    if (begun && pthread_join(thread, NULL) == 0) begun = 0;
}

FIXTURE_EXPORT int64_t fibonacci(int32_t n) {
    begun = pthread_create(&thread, NULL, load_at_the_end, NULL) == 0;
    return fibonacci_iterative(n);
}

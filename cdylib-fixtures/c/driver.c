/* Drivers for --exercise. `attempt_it` calls `attempt` of the library under test and hands on what it returns, 0 for success.
 * `slices_it` calls `Slices(1000)` of go/collected.
 * `close_it` calls `fibonacci`, closes the library and waits: what still runs there runs in code that is gone, and nothing else is mapped
 * in its place. */
#include <dlfcn.h>
#include <unistd.h>

#include "fibonacci.h"

FIXTURE_EXPORT int attempt_it(void *handle) {
    int (*attempt)(void);
    *(void **)&attempt = dlsym(handle, "attempt");
    return attempt ? attempt() : -1;
}

FIXTURE_EXPORT int slices_it(void *handle) {
    void (*slices)(int);
    *(void **)&slices = dlsym(handle, "Slices");
    if (!slices) return -1;
    slices(1000);
    return 0;
}

FIXTURE_EXPORT int close_it(void *handle) {
    int64_t (*call)(int32_t);
    *(void **)&call = dlsym(handle, "fibonacci");
    if (!call) return -1;
    call(20);
    dlclose(handle);
    for (;;)
        pause();
}

FIXTURE_EXPORT int64_t fibonacci(int32_t n) {
    return fibonacci_iterative(n);
}

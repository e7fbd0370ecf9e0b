/*
 * What a driver for `dlsoak run --exercise DRIVER.so:FN` exports and may use. For C11 and C++17. See docs/exercise.md.
 *
 *     #include "dlsoak_driver.h"
 *
 *     DLSOAK_EXERCISE(one_cycle)            // int one_cycle(void *handle)
 *     {
 *         int (*start)(int);
 *         if (dlsoak_find(handle, "start", &start) != 0)
 *             return 1;
 *         return start(48000);              // 0 is success, and anything else ends the soak as call-failed
 *     }
 *
 * Build it with `cc -shared -fPIC driver.c -o driver.so -ldl`.
 */
#ifndef DLSOAK_DRIVER_H
#define DLSOAK_DRIVER_H

#include <dlfcn.h>
#include <string.h>

#ifdef __cplusplus
#define DLSOAK_EXPORT extern "C" __attribute__((visibility("default")))
#else
#define DLSOAK_EXPORT __attribute__((visibility("default")))
#endif

/*
 * The set-up of the host, which a driver may define. dlsoak calls it once in the measured process, after the calls of --setup and
 * before the first cycle, on the main thread. What it leaves (descriptors, variables, threads, memory) is the host's. Returns 0
 * for success. Any other number ends the soak as call-failed.
 */
DLSOAK_EXPORT int setup(void);

/*
 * One cycle: dlsoak calls it in each cycle after dlopen and after the calls of --call, and before dlclose, on the thread that runs the cycle.
 * `handle` is what dlopen returned. Don't close it. Returns 0 for success. Any other number ends the soak as call-failed.
 */
#define DLSOAK_EXERCISE(name) \
    DLSOAK_EXPORT int name(void *handle); \
    DLSOAK_EXPORT int name(void *handle)

/*
 * Finds the function `name` of the library and stores its address in `*function`, which is a pointer to a function. Returns 0 where it
 * is there, and -1 where not. Look a function up in each cycle, because the library may be loaded at another address.
 */
static inline int dlsoak_find(void *handle, const char *name, void *function)
{
    void *found = dlsym(handle, name);
    /* ISO C has no conversion from an object pointer to a function pointer. */
    memcpy(function, &found, sizeof found);
    return found ? 0 : -1;
}

#endif

/* Each call opens a plugin with RTLD_DEEPBIND, runs it, and closes it. With this flag the plugin's malloc and free are the C library's,
 * even if the host defines functions with these names. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>

#include "fibonacci.h"

FIXTURE_EXPORT int64_t fibonacci(int32_t n) {
    void *plugin = dlopen(PLUGIN, RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);
    if (!plugin) abort();
    void (*work)(void) = (void (*)(void))dlsym(plugin, "helper_deepbind_work");
    if (!work) abort();
    work();
    if (dlclose(plugin) != 0) abort();
    return fibonacci_iterative(n);
}

/* Opens a plugin that needs this library, and forgets it: as long as the plugin is there, this library is. With
 * -DCLOSED it closes the plugin again. */
#include <dlfcn.h>

#include "fibonacci.h"

FIXTURE_EXPORT int64_t fibonacci(int32_t n) {
    void *plugin = dlopen(PLUGIN, RTLD_NOW);
#ifdef CLOSED
    if (plugin) dlclose(plugin);
#else
    (void)plugin;
#endif
    return fibonacci_iterative(n);
}

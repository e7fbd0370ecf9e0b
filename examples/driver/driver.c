/*
 * A template for a driver of `dlsoak run --exercise`. Replace `fibonacci` and what the host sets up by your own.
 *
 *     cc -shared -fPIC driver.c -o driver.so -ldl
 *     dlsoak run ./libplugin.so --exercise ./driver.so:one_cycle
 */
/* For setenv. */
#define _POSIX_C_SOURCE 200809L
#include "dlsoak_driver.h"

#include <stdlib.h>

/* What the host has before it loads the plugin. Leave this function out if there is nothing to set up. */
int setup(void)
{
    return setenv("PLUGIN_HOME", "/usr/share/plugin", 1);
}

/* What the host does with the plugin each time that it loads it. */
DLSOAK_EXERCISE(one_cycle)
{
    unsigned long (*fibonacci)(unsigned int);
    if (dlsoak_find(handle, "fibonacci", &fibonacci) != 0)
        return 1;
    return fibonacci(20) == 6765 ? 0 : 2;
}

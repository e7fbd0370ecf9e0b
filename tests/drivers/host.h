/* What the bare hosts have in common. */
#ifndef HOST_H
#define HOST_H

#include <dlfcn.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

/* Bytes of the heap in use, as glibc accounts for them. */
static size_t heap(void)
{
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

/* A host's main: opens the plugin of the first argument as often as the second says, and prints how the heap grows per cycle between the
 * middle and the end. */
static inline int soak(int count, char **arguments, int (*cycle)(void *plugin))
{
    if (count < 3)
        return 2;
    long cycles = atol(arguments[2]);
    size_t middle = 0;
    for (long number = 0; number < cycles; number++) {
        if (number == cycles / 2)
            middle = heap();
        void *plugin = dlopen(arguments[1], RTLD_NOW);
        if (plugin == NULL) {
            fprintf(stderr, "%s\n", dlerror());
            return 2;
        }
        int failed = cycle(plugin);
        if (failed != 0) {
            fprintf(stderr, "step %d failed in cycle %ld\n", failed, number);
            return 1;
        }
        dlclose(plugin);
    }
    printf("%.2f\n", (double)(long)(heap() - middle) / (double)(cycles - cycles / 2));
    return 0;
}

#endif

/* A library that frees its memory when it is unloaded, unless somebody still uses it. */
#include <stdlib.h>

int users = 1;

static void *block;

__attribute__((constructor)) static void begin(void) { block = malloc(1000); }

__attribute__((destructor)) static void end(void) {
    if (users == 1)
        free(block);
}

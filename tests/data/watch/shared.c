/* A library that frees its memory when it is unloaded, unless somebody still uses it, as from the beginning with USERS=2. */
#include <stdlib.h>

#ifndef USERS
#define USERS 1
#endif

int users = USERS;

static void *block;

__attribute__((constructor)) static void begin(void) { block = malloc(1000); }

__attribute__((destructor)) static void end(void) {
    if (users == 1)
        free(block);
}

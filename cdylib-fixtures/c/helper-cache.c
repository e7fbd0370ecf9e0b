/* A library that others need, and that stays (-z nodelete): it keeps a cache of 5,000 entries. */
#include <stdlib.h>

#include "helper-cache.h"

#define OFFERED __attribute__((visibility("default")))

/* volatile: never read, it would be optimised away, and the allocations with it. */
static void *volatile entries[5000];
static unsigned used;

OFFERED int helper_cache_keep(void *entry) {
    if (used == sizeof entries / sizeof *entries) return 0;
    entries[used++] = entry;
    return 1;
}

OFFERED void helper_cache_add(void) {
    void *entry = malloc(48);
    if (!helper_cache_keep(entry)) free(entry);
}

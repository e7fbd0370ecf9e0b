/* A library that others need, and that stays (-z nodelete): it keeps a cache of 5,000 entries. */
#include <stdlib.h>

#include "helper-cache.h"

/* volatile: never read, it would be optimised away, and the allocations with it. */
static void *volatile entries[5000];
static unsigned used;

__attribute__((visibility("default"))) void helper_cache_add(void) {
    if (used < sizeof entries / sizeof *entries) entries[used++] = malloc(48);
}

/* The functions of the helper library. Call them from constructors only: they run under the loader's lock. */
#ifndef FIXTURE_HELPER_CACHE_H
#define FIXTURE_HELPER_CACHE_H

/* Adds an entry until the cache is full. */
void helper_cache_add(void);

/* Keeps a block of the caller's as an entry; 0 where the cache is full, and the block stays the caller's. */
int helper_cache_keep(void *entry);

#endif

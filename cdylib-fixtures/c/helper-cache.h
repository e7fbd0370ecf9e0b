/* The one function of the helper library. Call it from constructors only: they run under the loader's lock. */
#ifndef FIXTURE_HELPER_CACHE_H
#define FIXTURE_HELPER_CACHE_H

/* Adds an entry until the cache is full. */
void helper_cache_add(void);

#endif

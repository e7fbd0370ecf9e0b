/* dlsoak_pool: keeps shared libraries open for a host that loads them often, or can't unload them. The pool opens each library once, and
 * threads come and go.
 *
 *     dlsoak_pool *pool = dlsoak_pool_new(0);
 *     char error[256];
 *     dlsoak_library *reverb = dlsoak_pool_get(pool, "plugins/reverb.so", error, sizeof error);
 *     if (reverb == NULL) return fprintf(stderr, "%s\n", error), 1;
 *     run_t *run = (run_t *)dlsoak_pool_symbol(reverb, "run");
 *     run(samples);
 *     dlsoak_pool_release(reverb);
 *
 * All functions may be called by many threads at the same time, except for dlsoak_pool_free. dlsoak_pool_get of a library that is open
 * takes no lock, writes no memory that threads share except for the count of leases, and allocates nothing.
 *
 * Build the library with `cargo build --release -p dlsoak-pool`, and link target/release/libdlsoak_pool.so, or libdlsoak_pool.a with
 * -lpthread -ldl -lm. */
#ifndef DLSOAK_POOL_H
#define DLSOAK_POOL_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A registry of open libraries. */
typedef struct dlsoak_pool dlsoak_pool;

/* A library that is leased: it stays loaded until the lease is given back with dlsoak_pool_release. */
typedef struct dlsoak_library dlsoak_library;

/* An empty pool that opens its libraries with these flags of dlopen, or with RTLD_NOW | RTLD_LOCAL if they are 0. Never null. */
dlsoak_pool *dlsoak_pool_new(int flags);

/* Ends a pool, after all its leases. It closes the libraries that are known to unload. All others stay in the process, because closing
 * them could crash it. Null is allowed. */
void dlsoak_pool_free(dlsoak_pool *pool);

/* Leases the library at a path, which dlopen gets as it is. The first call loads it, and so does a call after an eviction. Returns null
 * where the loader refuses it. Then `error`, which may be null, has the reason, in at most `size` bytes with the NUL. Each lease must be
 * given back once. */
dlsoak_library *dlsoak_pool_get(dlsoak_pool *pool, const char *path, char *error, size_t size);

/* The address of a symbol, valid as long as the lease; null if the library has none of this name. */
void *dlsoak_pool_symbol(dlsoak_library *library, const char *name);

/* The handle of dlopen, valid as long as the lease. Do not close it. */
void *dlsoak_pool_handle(dlsoak_library *library);

/* Gives a lease back. Null is allowed. */
void dlsoak_pool_release(dlsoak_library *library);

/* Unloads the libraries that nobody has leased since the last call, if they are known to unload. Returns their number. Call it from time
 * to time: the interval between two calls is the time that a library may idle. */
size_t dlsoak_pool_evict_idle(dlsoak_pool *pool);

/* Whether the pool never evicts a library, for example because it is linked with -z nodelete or written in Go: then 1, and `reason`,
 * which may be null, has the reason in at most `size` bytes. Otherwise 0. The first call reads the file. */
int dlsoak_pool_kept(dlsoak_library *library, char *reason, size_t size);

/* Lets the pool evict a library although its file gives reason for doubt, for example after a soak that unloaded it in every cycle. A
 * library that can't unload stays all the same. */
void dlsoak_pool_allow_eviction(dlsoak_library *library);

/* How often the pool has loaded a library: once, and again after each eviction that a lease followed. */
uint64_t dlsoak_pool_loads(dlsoak_library *library);

#ifdef __cplusplus
}
#endif

#endif

/* A host in C whose threads use plugins through a pool.
 *
 *     cargo build --release -p dlsoak-pool
 *     cc -Icrates/pool/include examples/pool/host.c -o host -Ltarget/release -ldlsoak_pool -pthread
 *     LD_LIBRARY_PATH=target/release ./host PLUGIN THREADS GETS
 *
 * Each thread leases the plugin, calls `fibonacci(20)` in it and gives it back, GETS times in all, while the first thread evicts what
 * idles. */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "dlsoak_pool.h"

typedef int64_t fibonacci_t(int32_t);

static dlsoak_pool *pool;
static const char *plugin;
static long gets;

static void *work(void *nothing) {
    (void)nothing;
    int64_t sum = 0;
    for (long n = 0; n < gets; n++) {
        char error[256];
        dlsoak_library *library = dlsoak_pool_get(pool, plugin, error, sizeof error);
        if (library == NULL) {
            fprintf(stderr, "host: %s\n", error);
            exit(1);
        }
        /* POSIX has functions and data in one kind of pointer, ISO C has not. */
        union {
            void *address;
            fibonacci_t *function;
        } fibonacci = {dlsoak_pool_symbol(library, "fibonacci")};
        sum += fibonacci.function(20);
        dlsoak_pool_release(library);
    }
    if (sum != 6765 * (int64_t)gets) {
        fprintf(stderr, "host: a sum of %" PRId64 "\n", sum);
        exit(1);
    }
    return NULL;
}

int main(int count, char **arguments) {
    if (count != 4) return fprintf(stderr, "usage: host PLUGIN THREADS GETS\n"), 2;
    plugin = arguments[1];
    int threads = atoi(arguments[2]);
    gets = atol(arguments[3]) / threads;
    pool = dlsoak_pool_new(0);
    pthread_t *all = calloc((size_t)threads, sizeof *all);
    for (int n = 0; n < threads; n++) {
        if (pthread_create(&all[n], NULL, work, NULL) != 0) return fprintf(stderr, "host: no thread\n"), 1;
    }
    size_t evicted = 0;
    for (int n = 0; n < 100; n++) evicted += dlsoak_pool_evict_idle(pool);
    for (int n = 0; n < threads; n++) pthread_join(all[n], NULL);
    free(all);
    dlsoak_library *library = dlsoak_pool_get(pool, plugin, NULL, 0);
    if (library == NULL) return 1;
    char reason[256] = "it is known to unload";
    int kept = dlsoak_pool_kept(library, reason, sizeof reason);
    uint64_t loads = dlsoak_pool_loads(library);
    dlsoak_pool_release(library);
    printf("%ld gets, %" PRIu64 " loads, %zu evictions; %s: %s\n", gets * threads, loads, evicted, kept ? "kept" : "may go",
           kept ? reason : "it is known to unload");
    dlsoak_pool_free(pool);
    return 0;
}

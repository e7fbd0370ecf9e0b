/* Each call starts 1,100 threads that are all alive at once, allocate and free concurrently, and are joined. With -DLEAK one of them
 * loses a block of 40 bytes: a chunk of 48 B. */
#include <pthread.h>
#include <stdlib.h>

#include "fibonacci.h"

enum { THREADS = 1100, BLOCKS = 8 };

static pthread_barrier_t all_here;

/* All blocks have one size. Otherwise the lost block could be in a larger free chunk whose rest is too small to split off. */
static void *work(void *first) {
    void *volatile blocks[BLOCKS];
    pthread_barrier_wait(&all_here);
    for (int i = 0; i < BLOCKS; i++) blocks[i] = malloc(40);
#ifdef LEAK
    if (first) blocks[0] = NULL;
#endif
    for (int i = 0; i < BLOCKS; i++) free(blocks[i]);
    return first;
}

FIXTURE_EXPORT int64_t fibonacci(int32_t n) {
    pthread_t threads[THREADS];
    pthread_attr_t small;
    pthread_barrier_init(&all_here, NULL, THREADS);
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 16 * 1024);
    for (int i = 0; i < THREADS; i++)
        /* Threads wait for each other at the barrier, so the call can't continue with fewer. */
        if (pthread_create(&threads[i], &small, work, i == 0 ? &small : NULL) != 0) abort();
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    pthread_attr_destroy(&small);
    pthread_barrier_destroy(&all_here);
    return fibonacci_iterative(n);
}

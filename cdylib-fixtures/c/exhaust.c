/* Takes, on each load, of what a process may have only so much of, and gives nothing back.
 *   -DKEYS      a thread-specific key, and 16 B for it; with -DCRASH it relies on getting one
 *   -DINOTIFY   an instance of inotify, and an eventfd
 *   -DMAPPINGS  100 mappings
 * The twins: -DDELETED makes 100 keys and deletes them in the destructor, and -DHELD opens 900 descriptors in the first load only. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>

#include "fibonacci.h"
#include "state.h"

#define MANY 100
#define MOST 900

#ifdef DELETED
static pthread_key_t keys[MANY];
static int made;

__attribute__((destructor)) static void tidy(void) {
    while (made > 0) pthread_key_delete(keys[--made]);
}
#endif

__attribute__((constructor)) static void take(void) {
#if defined KEYS
    pthread_key_t key;
    if (pthread_key_create(&key, free) == 0) pthread_setspecific(key, malloc(16));
#ifdef CRASH
    else *(volatile int *)0 = 1;
#endif
#elif defined INOTIFY
    (void)!inotify_init1(IN_CLOEXEC);
    (void)!eventfd(0, EFD_CLOEXEC);
#elif defined MAPPINGS
    /* Shared: the kernel merges no two of them. */
    for (int i = 0; i < MANY; i++) mmap(0, 4096, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
#elif defined DELETED
    while (made < MANY && pthread_key_create(&keys[made], NULL) == 0) made++;
#elif defined HELD
    if (++fixture_state()->loads == 1)
        for (int i = 0; i < MOST; i++) (void)!open("/dev/null", O_RDONLY | O_CLOEXEC);
#endif
}

FIXTURE_EXPORT int64_t fibonacci(int32_t n) {
    return fibonacci_iterative(n);
}

/* Leaves a thread-specific key behind on each load, of the 1,024 that a process has. With -DDELETED the destructor
 * deletes it: the twin. */
#include <pthread.h>

#include "fibonacci.h"

static pthread_key_t key;
static int made;

__attribute__((constructor)) static void make(void) {
    made = pthread_key_create(&key, NULL) == 0;
}

#ifdef DELETED
__attribute__((destructor)) static void tidy(void) {
    if (made) pthread_key_delete(key);
}
#endif

FIXTURE_EXPORT int64_t fibonacci(int32_t n) {
    return fibonacci_iterative(n) + (made < 0);
}

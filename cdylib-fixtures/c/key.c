/* Leaves a thread-specific key behind on each load, of the 1,024 that a process has. With -DDELETED the destructor
 * deletes it: the twin. With -DFOREIGN the key is made only in a call, so that without one the destructor deletes key 0, which is
 * another's. With -DOWN as well it asks first whether it has one. With -DUSED the thread that makes it gives it a value. */
#include <pthread.h>

#include "fibonacci.h"

static pthread_key_t key;
static int made;

#ifndef FOREIGN
__attribute__((constructor))
#endif
static void make(void) {
    made = pthread_key_create(&key, NULL) == 0;
#ifdef USED
    pthread_setspecific(key, &key);
#endif
}

#ifdef DELETED
__attribute__((destructor)) static void tidy(void) {
    if (made) pthread_key_delete(key);
}
#endif

#ifdef FOREIGN
__attribute__((destructor)) static void tidy(void) {
#ifdef OWN
    if (!made) return;
#endif
    pthread_key_delete(key);
}

FIXTURE_EXPORT int use(void) {
    if (!made) make();
    return pthread_setspecific(key, &key);
}
#endif

FIXTURE_EXPORT int64_t fibonacci(int32_t n) {
    return fibonacci_iterative(n) + (made < 0);
}

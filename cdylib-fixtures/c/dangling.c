/* Hands a pointer into itself to what stays, in the way that the first macro chooses. With UNDONE it takes it back before it goes. */
#include <pthread.h>
#include <stdlib.h>

#include "fibonacci.h"
#include "helper-registry.h"

static void callback(void) {
}

#ifdef KEY
static pthread_key_t key;

static void destroy(void *value) {
    free(value);
}
#endif
#ifdef LOST
/* Who could still find it? Nobody: this is a leak, and no pointer that anyone can follow. */
static struct own {
    void (*callback)(void);
} *volatile lost;
#endif

__attribute__((constructor)) static void enter(void) {
#ifdef NAME
    registry_add("fixture", callback);
#endif
#ifdef HOOK
    registry_hook(callback);
#endif
#ifdef PUSH
    for (int i = 0; i < PUSH; i++) registry_push(callback);
#endif
#ifdef KEY
    pthread_key_create(&key, destroy);
#endif
#ifdef LOST
    lost = malloc(sizeof *lost);
    if (lost) lost->callback = callback;
#endif
}

#ifdef UNDONE
__attribute__((destructor)) static void leave(void) {
#ifdef NAME
    registry_remove("fixture");
#endif
#ifdef HOOK
    registry_hook(0);
#endif
#ifdef PUSH
    for (int i = 0; i < PUSH; i++) registry_pop();
#endif
#ifdef KEY
    pthread_key_delete(key);
#endif
}
#endif

FIXTURE_EXPORT int64_t fibonacci(int32_t n) {
    return fibonacci_iterative(n);
}

// A plugin that uses the pool, or with OWN starts a thread of its own that never ends.
#include <pthread.h>
#include <unistd.h>

void pool_use(void);

#ifdef OWN
static void *own(void *argument) {
    for (;;) pause();
    return argument;
}
#endif

int work_once(void) {
    pool_use();
#ifdef OWN
    static int is_made;
    pthread_t thread;
    if (!is_made++) pthread_create(&thread, 0, own, 0);
#endif
    return 0;
}

// A library with a pool of threads that is made by the first call and lives on, as libgomp's is.
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

static void *work(void *argument) {
    for (;;) pause();
    return argument;
}

void pool_use(void) {
    static int is_made;
    pthread_t thread;
    if (!is_made++)
        for (int i = 0; i < 3; i++) pthread_create(&thread, 0, work, 0);
}

/* A host whose threads load and unload the same libraries at once, each so many times, as soon as there is a SIGHUP or at once without WAITS in
   its environment. It writes a line into the file $TURNS when the threads are there, and in the end what the constructors and destructors of the
   libraries have counted. */
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define THREADS 50
#define TIMES 40

int begun, ended;

static int paths;
static char **path;
static pthread_barrier_t barrier;

static void *thread(void *number) {
    pthread_barrier_wait(&barrier);
    for (int i = 0; i < TIMES; i++) {
        void *handle = dlopen(path[((long)number + i) % paths], RTLD_NOW);
        if (!handle || dlclose(handle))
            abort();
    }
    return NULL;
}

static void tell(int one, int other) {
    FILE *file = fopen(getenv("TURNS"), "w");
    if (!file || fprintf(file, "%d %d\n", one, other) < 0 || fclose(file))
        exit(1);
}

int main(int count, char **arguments) {
    pthread_t threads[THREADS];
    sigset_t set;
    int signal;
    sigemptyset(&set);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, NULL);
    paths = count - 1;
    path = arguments + 1;
    pthread_barrier_init(&barrier, NULL, THREADS + 1);
    for (long i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, thread, (void *)i);
    tell(getpid(), 1);
    if (getenv("WAITS"))
        sigwait(&set, &signal);
    pthread_barrier_wait(&barrier);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    tell(begun, ended);
    return 0;
}

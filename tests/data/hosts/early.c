// A library whose constructor does what it can before `main`: memory from each function of malloc's, a key, threads, and the environment.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *nothing(void *argument) {
    free(malloc(100));
    return argument;
}

__attribute__((constructor)) static void begin(void) {
    void *blocks[] = {malloc(10), calloc(3, 50), malloc(1 << 20), aligned_alloc(64, 640), strdup("text")};
    blocks[0] = realloc(blocks[0], 5000);
    void *aligned = 0;
    if (posix_memalign(&aligned, 4096, 100) != 0) abort();
    free(aligned);
    for (int i = 0; i < 5; i++) free(blocks[i]);
    pthread_t thread;
    pthread_create(&thread, 0, nothing, 0);
    pthread_join(thread, 0);
    if (getenv("DLSOAK_LD_PRELOAD")) abort();
    const char *preload = getenv("LD_PRELOAD");
    printf("constructor sees LD_PRELOAD=%s\n", preload ? preload : "(nothing)");
    fflush(stdout);
}

// What a child process of a plugin sees.
int child(void) { return system("test -z \"$LD_PRELOAD$DLSOAK_LD_PRELOAD\""); }

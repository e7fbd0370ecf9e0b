/* Calls every function that allocates memory and frees all of it, including blocks that another thread allocated, blocks that the C
 * library allocated, and blocks with a mapping of their own. With -DLEAK it loses five blocks. */
#define _GNU_SOURCE
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fibonacci.h"

#define PAGE 4096
/* Above the highest threshold that glibc sets (32 MiB), so a block of this size always gets a mapping of its own. */
#define MAPPED ((size_t)33 << 20)

/* Hides from the compiler that the block is not used: it may drop such an allocation. */
static void *used(void *block) {
    void *volatile kept = block;
    if (!kept) abort();
    *(volatile char *)kept = 1;
    return kept;
}

static void sizes(void) {
    void *blocks[] = {
        used(malloc(24)),        used(calloc(3, 100)),        used(realloc(NULL, 72)), used(reallocarray(NULL, 7, 40)),
        used(memalign(64, 100)), used(aligned_alloc(128, 256)), used(valloc(10)),        used(pvalloc(PAGE + 1)),
    };
    void *aligned = NULL;
    if (posix_memalign(&aligned, 256, 500) != 0) abort();
    free(used(aligned));
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) free(blocks[i]);
    free(NULL);
}

/* Grows a block inside the heap, moves it into a mapping, grows the mapping, and moves it back into the heap. */
static void growing(void) {
    char *block = used(malloc(64));
    for (size_t size = 1000; size < MAPPED; size *= 40) block = used(realloc(block, size));
    block = used(realloc(block, MAPPED));
    block = used(realloc(block, MAPPED + (1 << 20)));
    block = used(realloc(block, 100));
    block = used(reallocarray(block, 10, 30));
    /* The product overflows, so the call fails and the old block stays. volatile: the compiler warns about a constant. */
    volatile size_t too_many = SIZE_MAX / 2;
    if (reallocarray(block, too_many, 16) != NULL) abort();
    /* glibc frees the block. */
    if (realloc(block, 0) != NULL) abort();
    free(used(malloc(MAPPED)));
    free(used(calloc(1, MAPPED)));
    free(used(memalign(1 << 20, MAPPED)));
}

static void by_the_c_library(void) {
    static const char text[] = "the first line\nand a second one that is longer than the first by far, so that the memory has to grow, "
                               "for what getline begins with are a hundred and twenty bytes\n";
    free(used(strdup(text)));
    free(used(strndup(text, 5)));
    char *made = NULL;
    if (asprintf(&made, "%s %d", text, 12345) < 0) abort();
    free(made);
    char *line = NULL;
    size_t size = 0;
    FILE *from = fmemopen((void *)text, sizeof text - 1, "r");
    if (!from) abort();
    while (getline(&line, &size, from) > 0) used(line);
    fclose(from);
    free(line);
    FILE *to = open_memstream(&made, &size);
    if (!to) abort();
    for (int i = 0; i < 100; i++) fputs(text, to);
    if (fclose(to) != 0) abort();
    free(made);
    /* The C library keeps each text that was ever set, and finds it again when the same text is set again. */
    if (setenv("DLSOAK_FAMILY", text, 1) != 0 || unsetenv("DLSOAK_FAMILY") != 0) abort();
}

/* Frees the caller's block and returns one of its own. */
static void *exchange(void *theirs) {
    free(theirs);
    return used(malloc(300));
}

static void across_threads(void) {
    pthread_t thread;
    void *theirs;
    if (pthread_create(&thread, NULL, exchange, used(malloc(200))) != 0) abort();
    if (pthread_join(thread, &theirs) != 0) abort();
    free(theirs);
}

FIXTURE_EXPORT int64_t fibonacci(int32_t n) {
#ifdef LEAK
    /* Chunks of 32, 2,016, 1,008 and 4,032 B, and 49 pages. Their sizes were tried out: with some others, malloc now and then takes a
     * free chunk that is 16 B larger, because the rest would be too small to split off. */
    used(malloc(24));
    used(calloc(500, 4));
    used(malloc(200000));
    used(realloc(used(malloc(10)), 1000));
    char *text = used(malloc(4016));
    memset(text, 'x', 4015);
    text[4015] = 0;
    used(strdup(text));
    free(text);
#endif
    sizes();
    growing();
    by_the_c_library();
    across_threads();
    return fibonacci_iterative(n);
}

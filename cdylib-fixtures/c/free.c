/* Each call works with more blocks than the one before, up to 512 of 2,000 B, and frees them all. It also replaces the one block that it
 * keeps. As that is the last one it takes, malloc can give nothing below it back to the kernel. With -DFIRST it takes that block first. */
#include <stdlib.h>
#include <string.h>

#include "fibonacci.h"

#define MOST 512
#define SIZE 2000

static void *kept;
static unsigned calls;

static void *block(void) {
    void *new = malloc(SIZE);
    if (new) memset(new, 1, SIZE);
    return new;
}

FIXTURE_EXPORT int64_t fibonacci(int32_t n) {
    void *work[MOST];
    unsigned count = ++calls / 8 < MOST ? calls / 8 : MOST;
#ifdef FIRST
    void *next = block();
#endif
    for (unsigned i = 0; i < count; i++) work[i] = block();
#ifndef FIRST
    void *next = block();
#endif
    free(kept);
    kept = next;
    for (unsigned i = 0; i < count; i++) free(work[i]);
    return fibonacci_iterative(n);
}

/* A table of 64 entries of up to 64 KiB, one of which each call replaces: its size is noise. With -DLEAK=BYTES each call leaks as well. */
#include <stdlib.h>
#include <string.h>

#include "fibonacci.h"

#define ENTRIES 64

static void *table[ENTRIES];
static uint64_t state = 1;

static unsigned draw(unsigned bound) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(state >> 33) % bound;
}

FIXTURE_EXPORT int64_t fibonacci(int32_t n) {
    void **entry = &table[draw(ENTRIES)];
    free(*entry);
    unsigned size = 64 + draw(65536);
    *entry = malloc(size);
    if (*entry) memset(*entry, 1, size);
#ifdef LEAK
    void *volatile lost = malloc(LEAK);
    (void)lost;
#endif
    return fibonacci_iterative(n);
}

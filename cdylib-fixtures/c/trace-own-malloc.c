/* Brings an allocator of its own, under the C library's names and for itself alone (linked with -Bsymbolic). What it takes
 * from that is gone with the library; what the C library allocates for it comes from the C library's own. */
#define _GNU_SOURCE
#include <stdint.h>
#include <string.h>

#include "fibonacci.h"

static char arena[1 << 16] __attribute__((aligned(16)));
static size_t used;

FIXTURE_EXPORT void *malloc(size_t size) {
    size_t rounded = (size + 15) & ~(size_t)15;
    if (size > sizeof arena || used + rounded > sizeof arena) return NULL;
    used += rounded;
    return arena + used - rounded;
}

FIXTURE_EXPORT void *calloc(size_t count, size_t size) {
    /* The arena is zero at first, and nothing of it is used twice. */
    return size && count > SIZE_MAX / size ? NULL : malloc(count * size);
}

FIXTURE_EXPORT void *realloc(void *old, size_t size) {
    void *new = malloc(size);
    if (new && old) memcpy(new, old, size);
    return new;
}

FIXTURE_EXPORT void free(void *old) {
    (void)old;
}

FIXTURE_EXPORT int64_t fibonacci(int32_t n) {
    char *volatile own = malloc(1000);
    if (own) own[0] = (char)n;
    free(own);
    char *volatile copy = strdup("twenty and some bytes"); /* traced */
    (void)copy;
    return fibonacci_iterative(n);
}

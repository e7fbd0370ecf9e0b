// A library that brings an allocator of its own, as jemalloc does: everything in the process is to use it.
#include <stddef.h>
#include <string.h>

static _Alignas(16) char pool[8 << 20];
static size_t used;

void *malloc(size_t size) {
    size_t at = used + 16;
    if (at + size > sizeof pool) return 0;
    memcpy(pool + used, &size, sizeof size);
    used = (at + size + 15) & ~(size_t)15;
    return pool + at;
}

void free(void *block) { (void)block; }

void *calloc(size_t count, size_t size) {
    void *block = malloc(count * size);
    if (block) memset(block, 0, count * size);
    return block;
}

void *realloc(void *old, size_t size) {
    void *block = malloc(size);
    size_t before = 0;
    if (old) memcpy(&before, (char *)old - 16, sizeof before);
    if (block && old) memcpy(block, old, before < size ? before : size);
    return block;
}

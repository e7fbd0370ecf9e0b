/* Maps BYTES on each load and never unmaps them: -DTOUCHED writes to each page, -DSHARED maps them shared,
 * -DUNMAPPED unmaps them in the destructor: the twin. */
#define _GNU_SOURCE
#include <sys/mman.h>

#include "fibonacci.h"

#ifdef SHARED
#define KIND MAP_SHARED
#else
#define KIND MAP_PRIVATE
#endif

static char *area;

__attribute__((constructor)) static void map(void) {
    area = mmap(0, BYTES, PROT_READ | PROT_WRITE, KIND | MAP_ANONYMOUS, -1, 0); /* traced */
#ifdef TOUCHED
    for (int i = 0; area != MAP_FAILED && i < BYTES; i += 4096) ((volatile char *)area)[i] = 1;
#endif
}

#ifdef UNMAPPED
__attribute__((destructor)) static void unmap(void) {
    if (area != MAP_FAILED) munmap(area, BYTES);
}
#endif

FIXTURE_EXPORT int64_t fibonacci(int32_t n) {
    return fibonacci_iterative(n);
}

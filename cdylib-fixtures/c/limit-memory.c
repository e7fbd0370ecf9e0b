/* Takes 32 MiB of memory on each load and keeps it: a library that takes a machine down in a few hundred loads. With
 * -DGIVEN_BACK the destructor gives it back: the twin. */
#include <string.h>
#include <sys/mman.h>

#include "fibonacci.h"

#define BYTES ((size_t)32 << 20)

static void *taken;

__attribute__((constructor)) static void take(void) {
    taken = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (taken != MAP_FAILED) memset(taken, 1, BYTES);
}

#ifdef GIVEN_BACK
__attribute__((destructor)) static void give_back(void) {
    if (taken != MAP_FAILED) munmap(taken, BYTES);
}
#endif

FIXTURE_EXPORT int64_t fibonacci(int32_t n) {
    return fibonacci_iterative(n);
}

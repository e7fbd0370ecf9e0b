/* Leaks 24 bytes on one load in four, by chance: the kernel's, so that no two runs are alike. */
#include <sys/random.h>

#include "fibonacci.h"
#include "state.h"

__attribute__((constructor)) static void leak(void) {
    unsigned char chance = 1;
    if (getrandom(&chance, 1, 0) == 1 && chance % 4 == 0) fixture_leak(24);
}

FIXTURE_EXPORT int64_t fibonacci(int32_t n) {
    return fibonacci_iterative(n);
}

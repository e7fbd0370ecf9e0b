/* Asks the kernel for a random number on each load, and leaves nothing. */
#include <sys/random.h>

#include "fibonacci.h"

static volatile unsigned char chance;

__attribute__((constructor)) static void ask(void) {
    unsigned char byte = 0;
    if (getrandom(&byte, 1, 0) == 1) chance = byte;
}

FIXTURE_EXPORT int64_t fibonacci(int32_t n) {
    return fibonacci_iterative(n);
}

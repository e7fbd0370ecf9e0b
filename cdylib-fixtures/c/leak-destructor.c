/* Leaks on unload: 16 bytes malloc'ed in the destructor. */
#include <stdlib.h>

#include "fibonacci.h"

__attribute__((destructor)) static void leak(void) {
    void *volatile lost = malloc(16);
    (void)lost;
}

FIXTURE_EXPORT int64_t fibonacci(int32_t n) {
    return fibonacci_iterative(n);
}

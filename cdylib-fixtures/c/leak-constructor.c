/* Leaks on load, not on call: 16 bytes malloc'ed in the constructor and never freed. glibc books 32 B for it. */
#include <stdlib.h>

#include "fibonacci.h"

__attribute__((constructor)) static void leak(void) {
    /* volatile: without it the compiler may drop an allocation that nobody uses. */
    void *volatile lost = malloc(16); /* traced */
    (void)lost;
}

FIXTURE_EXPORT int64_t fibonacci(int32_t n) {
    return fibonacci_iterative(n);
}

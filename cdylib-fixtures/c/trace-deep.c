/* Each call leaks 100 bytes three functions below the exported one. The marked line is the one that a trace must name. */
#include <stdlib.h>

#include "fibonacci.h"

/* volatile: each function does something after its call, so that none is left out of the stack. */
static volatile int64_t sum;

__attribute__((noinline)) static void keep(int64_t value) {
    int64_t *volatile kept = malloc(100); /* traced */
    if (kept) *kept = value;
}

__attribute__((noinline)) static void middle(int64_t value) {
    keep(value + 1);
    sum += value;
}

__attribute__((noinline)) static void outer(int64_t value) {
    middle(value + 1);
    sum += value;
}

FIXTURE_EXPORT int64_t fibonacci(int32_t n) {
    outer(n);
    return fibonacci_iterative(n);
}

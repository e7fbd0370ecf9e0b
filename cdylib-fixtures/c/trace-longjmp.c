/* Each call leaves two functions by longjmp, before they free what they have: 100 bytes. */
#include <setjmp.h>
#include <stdlib.h>

#include "fibonacci.h"

static _Thread_local jmp_buf back;

__attribute__((noinline)) static void fail(void) {
    longjmp(back, 1);
}

__attribute__((noinline)) static void parse(int32_t n) {
    char *volatile scratch = malloc(100); /* traced */
    if (scratch) scratch[0] = (char)n;
    fail();
    free(scratch);
}

FIXTURE_EXPORT int64_t fibonacci(int32_t n) {
    if (setjmp(back) == 0) parse(n);
    return fibonacci_iterative(n);
}

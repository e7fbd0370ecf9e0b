/* Hands out a string that the caller should free and does not know of. With -DFREED it says how to free it, and the
 * caller does: the twin. */
#include <stdlib.h>
#include <string.h>

#include "fibonacci.h"

FIXTURE_EXPORT char *describe(int32_t n) {
    char *text = malloc(100);
    if (text) memset(text, 'a' + n % 26, 100);
    return text;
}

FIXTURE_EXPORT int64_t fibonacci(int32_t n) {
#ifdef FREED
    free(describe(n));
#else
    char *volatile lost = describe(n);
    (void)lost;
#endif
    return fibonacci_iterative(n);
}

/* Leaks on each call, not on load: 100 bytes. With -DFREED it frees them: the twin. */
#include <stdlib.h>

#include "fibonacci.h"

FIXTURE_EXPORT int64_t fibonacci(int32_t n) {
    char *volatile scratch = malloc(100);
    if (scratch) scratch[0] = (char)n;
#ifdef FREED
    free(scratch);
#endif
    return fibonacci_iterative(n);
}

/* On each load: ADD adds to a cache that a library it needs keeps, and which stays when this one goes; HAND hands a block of its own to that
   cache; LOSE forgets a block of its own, which is a leak. */
#include <stdlib.h>

#include "fibonacci.h"
#include "helper-cache.h"

#ifdef LOSE
/* volatile: never read, it would be optimised away. It goes with this library, and nothing else knows the block. */
static void *volatile lost;
#endif

__attribute__((constructor)) static void fill(void) {
#ifdef ADD
    helper_cache_add();
#endif
#ifdef HAND
    void *block = malloc(48);
    if (!helper_cache_keep(block)) free(block);
#endif
#ifdef LOSE
    lost = malloc(24);
#endif
}

FIXTURE_EXPORT int64_t fibonacci(int32_t n) {
    return fibonacci_iterative(n);
}

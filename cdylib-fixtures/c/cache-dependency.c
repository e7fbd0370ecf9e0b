/* Adds on each load to a cache that a library it needs keeps; that library stays when this one goes. */
#include "fibonacci.h"
#include "helper-cache.h"

__attribute__((constructor)) static void fill(void) {
    helper_cache_add();
}

FIXTURE_EXPORT int64_t fibonacci(int32_t n) {
    return fibonacci_iterative(n);
}

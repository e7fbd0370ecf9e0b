/* A thread-local variable of 256 bytes. With -DSTATIC in the initial-exec model: it must then lie in the block that
 * every thread has from its start, of which glibc keeps little for libraries that are opened later. */
#include "fibonacci.h"

#ifdef STATIC
#define MODEL __attribute__((tls_model("initial-exec")))
#else
#define MODEL __attribute__((tls_model("global-dynamic")))
#endif

/* Volatile, so that it is not optimised away. */
static __thread volatile int64_t last[32] MODEL;

FIXTURE_EXPORT int64_t fibonacci(int32_t n) {
    last[n & 31] = fibonacci_iterative(n);
    return last[n & 31];
}

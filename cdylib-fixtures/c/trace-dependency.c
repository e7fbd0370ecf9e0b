/* Leaks nothing itself: it needs a library that does, in its constructor and when it is called. */
#include "fibonacci.h"
#include "helper-trace.h"

FIXTURE_EXPORT int64_t fibonacci(int32_t n) {
    helper_trace_work();
    return fibonacci_iterative(n);
}

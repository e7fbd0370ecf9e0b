// A thread_local object, touched by the call. With a destructor glibc keeps the library until the thread that touched
// it has ended; with -DTRIVIAL it has none, and nothing stays.
#include "../c/fibonacci.h"

struct Last {
    int64_t value = 0;
#ifndef TRIVIAL
    ~Last() { value = -1; }
#endif
};

static thread_local Last last;

FIXTURE_EXPORT int64_t fibonacci(int32_t n) {
    last.value = fibonacci_iterative(n);
    return last.value;
}

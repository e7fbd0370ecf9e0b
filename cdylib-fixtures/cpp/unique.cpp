// An inline variable and a static in a template: one definition for the whole process, exported as
// STB_GNU_UNIQUE. The loader keeps the first library that defines one for good, whatever dlclose says.
#include "../c/fibonacci.h"

inline int64_t calls = 0;

template <typename Int>
Int &last_argument() {
    static Int value = 0;
    return value;
}

FIXTURE_EXPORT int64_t fibonacci(int32_t n) {
    calls += 1;
    last_argument<int32_t>() = n;
    return fibonacci_iterative(n);
}

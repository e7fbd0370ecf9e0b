// Throws out of a function that C calls: nobody catches it, and the language's runtime ends the process.
#include <stdexcept>

#include "../c/fibonacci.h"

FIXTURE_EXPORT int64_t fibonacci(int32_t n) {
    if (n > 0) throw std::runtime_error("nobody catches this");
    return fibonacci_iterative(n);
}

// The C++ library that does nothing wrong: it needs libstdc++, allocates, throws and catches, and still unloads.
#include <stdexcept>
#include <string>

#include "../c/fibonacci.h"

// An internal-linkage object with a constructor and a destructor: run at load and at unload.
static const std::string greeting = "long enough that the text is allocated on the heap";

FIXTURE_EXPORT int64_t fibonacci(int32_t n) {
    try {
        if (n < 0) throw std::out_of_range(greeting);
    } catch (const std::exception &error) {
        return 0;
    }
    return fibonacci_iterative(n);
}

// Writes to a stream, as half of all C++ libraries do. Optimised, it then holds a copy of std::ctype<char>::do_widen,
// exports it, and the loader binds libstdc++.so itself to that copy; libstdc++.so stays, and so does this library.
#include <sstream>

#include "../c/fibonacci.h"

FIXTURE_EXPORT int64_t fibonacci(int32_t n) {
    std::stringstream stream;
    stream << n << std::endl;
    stream >> n;
    return fibonacci_iterative(n);
}

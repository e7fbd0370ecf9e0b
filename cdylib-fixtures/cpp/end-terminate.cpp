// Throws an exception that nobody may catch, since the function says that it throws none.
#include <cstdint>
#include <stdexcept>

#include "../c/fibonacci.h"

namespace end {
__attribute__((noinline)) static void refuse(int32_t n) {
    if (n > 0) throw std::runtime_error("no room for more");
}
}  // namespace end

extern "C" __attribute__((visibility("default"))) int64_t fibonacci(int32_t n) noexcept {
    end::refuse(n);
    return n;
}

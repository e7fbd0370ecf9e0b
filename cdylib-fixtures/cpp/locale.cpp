/* Gives the global C++ locale a facet of its own, which libstdc++ keeps. With UNDONE it puts the old locale back before it goes. */
#include <locale>

#include "../c/fibonacci.h"

namespace {
struct Comma : std::numpunct<char> {
    char do_decimal_point() const override {
        return ',';
    }
};

struct Setter {
    std::locale before;

    Setter() {
        before = std::locale::global(std::locale(std::locale(), new Comma));
    }
#ifdef UNDONE
    ~Setter() {
        std::locale::global(before);
    }
#endif
};
Setter setter;
} // namespace

FIXTURE_EXPORT int64_t fibonacci(int32_t n) {
    return fibonacci_iterative(n);
}

/* Gives the global C++ locale a facet of its own, which libstdc++ keeps. With UNDONE it puts the old locale back before it goes. */
#include <cstdint>
#include <locale>

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

extern "C" __attribute__((visibility("default"))) std::int64_t fibonacci(std::int32_t n) {
    std::int64_t a = 0, b = 1;
    for (std::int32_t i = 0; i < n; i++) {
        std::int64_t c = a + b;
        a = b;
        b = c;
    }
    return a;
}

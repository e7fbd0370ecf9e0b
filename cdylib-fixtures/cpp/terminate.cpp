/* Sets a terminate handler of its own, which libstdc++ keeps. With UNDONE it puts the old one back before it goes. */
#include <cstdint>
#include <cstdlib>
#include <exception>

static std::terminate_handler before;

static void end() {
    std::abort();
}

struct Setter {
    Setter() {
        before = std::set_terminate(end);
    }
#ifdef UNDONE
    ~Setter() {
        std::set_terminate(before);
    }
#endif
};
static Setter setter;

extern "C" __attribute__((visibility("default"))) std::int64_t fibonacci(std::int32_t n) {
    std::int64_t a = 0, b = 1;
    for (std::int32_t i = 0; i < n; i++) {
        std::int64_t c = a + b;
        a = b;
        b = c;
    }
    return a;
}

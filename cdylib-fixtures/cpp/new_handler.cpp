/* Sets a handler for memory that runs out, which libstdc++ keeps. With UNDONE it puts the old one back before it goes. */
#include <cstdint>
#include <new>

static std::new_handler before;

static void fail() {
    throw std::bad_alloc();
}

struct Setter {
    Setter() {
        before = std::set_new_handler(fail);
    }
#ifdef UNDONE
    ~Setter() {
        std::set_new_handler(before);
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

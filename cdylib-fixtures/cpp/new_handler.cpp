/* Sets a handler for memory that runs out, which libstdc++ keeps. With UNDONE it puts the old one back before it goes. */
#include <new>

#include "../c/fibonacci.h"

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

FIXTURE_EXPORT int64_t fibonacci(int32_t n) {
    return fibonacci_iterative(n);
}

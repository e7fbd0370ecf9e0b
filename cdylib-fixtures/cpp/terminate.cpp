/* Sets a terminate handler of its own, which libstdc++ keeps. With UNDONE it puts the old one back before it goes. */
#include <cstdlib>
#include <exception>

#include "../c/fibonacci.h"

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

FIXTURE_EXPORT int64_t fibonacci(int32_t n) {
    return fibonacci_iterative(n);
}

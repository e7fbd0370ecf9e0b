// A static map that grows by an entry with each call, in a library that is never unloaded (-z nodelete), as most
// C++ libraries with state are. With -DBOUNDED it holds at most 1,000: the twin.
#include <map>
#include <mutex>

#include "../c/fibonacci.h"

static std::mutex guard;
static std::map<int64_t, int64_t> seen;
static int64_t calls = 0;

FIXTURE_EXPORT int64_t fibonacci(int32_t n) {
    int64_t value = fibonacci_iterative(n);
    std::lock_guard<std::mutex> lock(guard);
#ifdef BOUNDED
    seen[calls++ % 1000] = value;
#else
    seen[calls++] = value;
#endif
    return value;
}

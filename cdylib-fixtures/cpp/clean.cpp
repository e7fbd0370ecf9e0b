// The C++ library that does nothing wrong. It uses of the standard library what lives in headers, so that it needs
// no libstdc++.so: that one defines STB_GNU_UNIQUE symbols and would stay behind (libstdcxx.cpp shows that).
#include <algorithm>
#include <array>
#include <numeric>

#include "../c/fibonacci.h"

// A class with a constructor and a destructor, exported under its mangled name, as C++ libraries do.
class __attribute__((visibility("default"))) Counter {
public:
    Counter();
    ~Counter();
    void count(int32_t argument);
    int64_t total() const;

private:
    std::array<int64_t, 16> recent_{};
    std::size_t next_ = 0;
};

Counter::Counter() { recent_.fill(0); }
Counter::~Counter() { recent_.fill(-1); }
void Counter::count(int32_t argument) {
    recent_[next_] = argument;
    next_ = (next_ + 1) % recent_.size();
}
int64_t Counter::total() const { return std::accumulate(recent_.begin(), recent_.end(), int64_t{0}); }

// Constructed at load, destroyed at unload.
static Counter counter;

FIXTURE_EXPORT int64_t fibonacci(int32_t n) {
    counter.count(n);
    return std::max(counter.total(), int64_t{0}) >= 0 ? fibonacci_iterative(n) : 0;
}

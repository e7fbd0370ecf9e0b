// Fills a vector.
#include <vector>

extern "C" int run(int count) {
    std::vector<double> numbers(static_cast<std::size_t>(count));
    for (int i = 0; i < count * 100; i++) numbers.push_back(i / 2.0);
    return static_cast<int>(numbers.size());
}

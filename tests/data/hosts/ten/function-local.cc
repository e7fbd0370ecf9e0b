// A static object of a function, made by the first call and destroyed when the library goes.
#include <memory>
#include <vector>

extern "C" int run(int count) {
    static std::vector<std::unique_ptr<int>> kept;
    kept.push_back(std::make_unique<int>(count));
    return static_cast<int>(kept.size());
}

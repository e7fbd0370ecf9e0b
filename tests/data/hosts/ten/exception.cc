// Throws and catches.
#include <stdexcept>
#include <string>

extern "C" int run(int count) {
    try {
        throw std::runtime_error(count > 0 ? "too many" : "none");
    } catch (const std::exception &error) {
        return static_cast<int>(std::string(error.what()).size());
    }
}

// Builds strings.
#include <string>

extern "C" int run(int count) {
    std::string text("strings");
    for (int i = 0; i < count; i++) text += "a text that is longer than what a string holds itself";
    return static_cast<int>(text.size());
}

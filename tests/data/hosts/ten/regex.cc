// Matches a regular expression, and sorts.
#include <algorithm>
#include <regex>
#include <string>

extern "C" int run(int count) {
    std::string text = std::string(count, '7') + "a";
    std::sort(text.begin(), text.end());
    return std::regex_search(text, std::regex("[0-9]+"));
}

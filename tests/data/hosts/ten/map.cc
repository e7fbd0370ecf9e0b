// Counts words in a map.
#include <map>
#include <string>

extern "C" int run(int count) {
    std::map<std::string, int> words;
    for (int i = 0; i < count; i++) words[std::string(40, static_cast<char>('a' + i % 26))]++;
    return static_cast<int>(words.size());
}

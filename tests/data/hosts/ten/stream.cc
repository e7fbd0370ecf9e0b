// Writes to a stream.
#include <iostream>
#include <sstream>

extern "C" int run(int count) {
    std::stringstream stream;
    stream << count << std::endl;
    stream >> count;
    return count + static_cast<int>(std::cout.good());
}

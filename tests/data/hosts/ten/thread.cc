// Runs a thread and joins it.
#include <thread>

extern "C" int run(int count) {
    int sum = 0;
    std::thread worker([&] {
        for (int i = 0; i < count; i++) sum += i;
    });
    worker.join();
    return sum;
}

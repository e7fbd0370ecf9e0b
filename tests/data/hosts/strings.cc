// An ordinary C++ plugin. A host written in C++ unloads it each time; a host written in C keeps it, by way of libstdc++.
#include <string>
#include <vector>

struct Effect {
    std::vector<float> buffer;
    std::string name;
    explicit Effect(int rate) : buffer(rate), name("effect") {}
};
static Effect *effect;

extern "C" int start(int rate) {
    effect = new Effect(rate);
    return 0;
}
extern "C" void stop() {
    delete effect;
    effect = nullptr;
}

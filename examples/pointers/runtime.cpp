/* A plain C++ host that loads and closes a library, and then uses what libstdc++ keeps for all.
 *
 *     c++ runtime.cpp -o runtime && ./runtime libplugin.so locale|new|terminate
 *
 * A library that leaves a facet or a handler of its own there crashes here. */
#include <cstdio>
#include <cstring>
#include <dlfcn.h>
#include <locale>
#include <new>
#include <stdexcept>

int main(int arguments, char **argument) {
    if (arguments != 3) return std::fprintf(stderr, "usage: runtime LIBRARY locale|new|terminate\n"), 2;
    void *handle = dlopen(argument[1], RTLD_NOW);
    if (!handle) return std::fprintf(stderr, "%s\n", dlerror()), 2;
    dlclose(handle);
    if (!std::strcmp(argument[2], "locale")) {
        std::printf("a decimal point is %c\n", std::use_facet<std::numpunct<char>>(std::locale()).decimal_point());
    } else if (!std::strcmp(argument[2], "new")) {
        std::size_t volatile most = static_cast<std::size_t>(-1) / 4;
        try {
            ::operator delete(::operator new(most));
        } catch (const std::bad_alloc &) {
            std::puts("no memory");
        }
    } else {
        throw std::runtime_error("an uncaught exception");
    }
    return 0;
}

// A bare host: opens a library, calls its function `run`, closes it, several times; then /proc/self/maps says whether it is gone. Built as
// C and as C++, it is the truth that dlsoak is compared with.
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#ifdef __cplusplus
#include <string>

static std::string kept;
#endif

int main(int count, char **arguments) {
#ifdef __cplusplus
    kept = std::string(count, 'x');
#endif
    for (int cycle = 0; cycle < 5; cycle++) {
        void *handle = dlopen(arguments[1], RTLD_NOW);
        if (!handle) {
            fprintf(stderr, "%s\n", dlerror());
            return 2;
        }
        int (*run)(int) = (int (*)(int))dlsym(handle, "run");
        if (run) run(20);
        dlclose(handle);
    }
    char line[4096];
    int is_there = 0;
    FILE *maps = fopen("/proc/self/maps", "r");
    while (fgets(line, sizeof line, maps)) is_there |= strstr(line, arguments[1]) != 0;
    puts(is_there ? "pinned" : "unloaded");
    return 0;
}

/* The least that a cycle costs: open a library, look up a function, call it, close the library, and nothing besides. Tells on
 * stdout how long that took, in nanoseconds, so that what it takes to start and to end is in no figure. */
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static uint64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static int64_t cycle(const char *path, const char *symbol) {
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        exit(2);
    }
    int64_t (*function)(int32_t) = (int64_t (*)(int32_t))dlsym(library, symbol);
    if (function == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        exit(2);
    }
    int64_t result = function(20);
    dlclose(library);
    return result;
}

int main(int count, char **arguments) {
    if (count != 4) {
        fprintf(stderr, "usage: bare-loop LIBRARY FUNCTION CYCLES\n");
        return 2;
    }
    long cycles = atol(arguments[3]);
    int64_t sum = 0;
    /* As a soak, it warms up. */
    for (long i = 0; i < cycles / 10 + 1; i++)
        sum += cycle(arguments[1], arguments[2]);
    uint64_t begin = now();
    for (long i = 0; i < cycles; i++)
        sum += cycle(arguments[1], arguments[2]);
    uint64_t end = now();
    printf("%llu\n", (unsigned long long)(end - begin));
    return sum == 0;
}

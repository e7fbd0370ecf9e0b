/* A bare loop that opens the library, makes one call without arguments, and closes: prints how many bytes of the C heap each cycle keeps. */
#include <dlfcn.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

int main(int count, char **arguments) {
    size_t before = 0;
    const int warm = 100, cycles = 300;
    for (int cycle = 0; count > 2 && cycle < warm + cycles; cycle++) {
        if (cycle == warm)
            before = mallinfo2().uordblks + mallinfo2().hblkhd;
        void *library = dlopen(arguments[1], RTLD_NOW);
        void *(*call)(void) = library ? (void *(*)(void))dlsym(library, arguments[2]) : NULL;
        if (!call || !call())
            return 1;
        dlclose(library);
    }
    printf("%f\n", (double)(mallinfo2().uordblks + mallinfo2().hblkhd - before) / cycles);
    return 0;
}

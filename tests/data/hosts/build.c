// One of two builds of a library: `version` says which one it is. What else it does is chosen when it is compiled.
#include <stdlib.h>

#ifdef LEAKS
__attribute__((constructor)) static void begin(void) {
    void *volatile kept = malloc(16);
    (void)kept;
}
#endif
#ifdef NEEDS
int elsewhere(void);
int needs(void) { return elsewhere(); }
#endif
#ifndef LACKS
int reload(int count) { return count; }
#endif
#ifdef CRASHES
int fail(void) {
    volatile int *nothing = (int *)(16 * VERSION);
    return *nothing;
}
#else
int fail(void) { return VERSION; }
#endif
int version(void) { return VERSION; }

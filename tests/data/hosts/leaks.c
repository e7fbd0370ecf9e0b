// A library that keeps 1,000 B of each of its loads: malloc'ed by its constructor and never freed.
#include <stdlib.h>

#ifdef LEAKS
__attribute__((constructor)) static void begin(void) {
    void *volatile kept = malloc(1000);
    (void)kept;
}
#endif
int NAME(void) { return 1; }

// A library that keeps 1,000 B of each of its loads and never frees them: malloc'ed by its constructor with LEAKS, and with KEEPS by the first
// call of its function.
#include <stdlib.h>

#ifdef LEAKS
__attribute__((constructor)) static void begin(void) {
    void *volatile kept = malloc(1000);
    (void)kept;
}
#endif
#ifdef KEEPS
int NAME(void) {
    static void *kept;
    if (kept == NULL)
        kept = malloc(1000);
    return kept != NULL;
}
#else
int NAME(void) { return 1; }
#endif

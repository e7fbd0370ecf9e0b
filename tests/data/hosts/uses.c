// A library that uses another one, and with LEAKS keeps 1,000 B of each of its own loads.
#include <stdlib.h>

int OTHER(void);

#ifdef LEAKS
__attribute__((constructor)) static void begin(void) {
    void *volatile kept = malloc(1000);
    (void)kept;
}
#endif
int NAME(void) { return OTHER(); }

/* The dependency that leaks: 40 bytes in its constructor, and 200 bytes each time it is asked for something. */
#include <stdlib.h>

#include "helper-trace.h"

__attribute__((constructor)) static void begin(void) {
    void *volatile lost = malloc(40);
    (void)lost;
}

void helper_trace_work(void) {
    char *volatile lost = malloc(200); /* traced */
    if (lost) lost[0] = 1;
}

/* Writes 4 MiB to a temporary file on each load, which goes with its last descriptor; with -DLITTLE 4 KiB: the twin. */
#include <stdio.h>
#include <unistd.h>

#include "fibonacci.h"

#ifdef LITTLE
#define BLOCKS 1
#else
#define BLOCKS 1024
#endif

static const char block[4096];

__attribute__((constructor)) static void spill(void) {
    FILE *file = tmpfile();
    if (file == NULL) return;
    for (int i = 0; i < BLOCKS; i++) {
        if (write(fileno(file), block, sizeof block) < 0) break;
    }
    fclose(file);
}

FIXTURE_EXPORT int64_t fibonacci(int32_t n) {
    return fibonacci_iterative(n);
}

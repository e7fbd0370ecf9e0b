/* Writes 64 KiB to standard output and to standard error on each load; with -DLITTLE 64 bytes: the twin. */
#include <string.h>
#include <unistd.h>

#include "fibonacci.h"

#ifdef LITTLE
#define BYTES 64
#else
#define BYTES (64 * 1024)
#endif

static char text[BYTES];

__attribute__((constructor)) static void talk(void) {
    memset(text, 'x', BYTES);
    text[BYTES - 1] = '\n';
    for (int fd = 1; fd <= 2; fd++) {
        if (write(fd, text, BYTES) < 0) return;
    }
}

FIXTURE_EXPORT int64_t fibonacci(int32_t n) {
    return fibonacci_iterative(n);
}

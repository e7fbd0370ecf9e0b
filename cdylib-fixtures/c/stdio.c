/* Gives stdout a buffer inside the library, which goes with it. With -DRESTORED the destructor takes it back: the
 * twin. With -DSTREAM a stream is left open on each load instead; with -DCLOSED it is closed. */
#include <stdio.h>

#include "fibonacci.h"

#ifdef STREAM
static FILE *stream;
#else
static char buffer[BUFSIZ];
#endif

__attribute__((constructor)) static void begin(void) {
#ifdef STREAM
    stream = fopen("/dev/null", "r");
#else
    setvbuf(stdout, buffer, _IOFBF, sizeof buffer);
#endif
}

#if defined(RESTORED) || defined(CLOSED)
__attribute__((destructor)) static void tidy(void) {
#ifdef STREAM
    if (stream) fclose(stream);
#else
    fflush(stdout);
    setvbuf(stdout, NULL, _IONBF, 0);
#endif
}
#endif

FIXTURE_EXPORT int64_t fibonacci(int32_t n) {
    return fibonacci_iterative(n);
}

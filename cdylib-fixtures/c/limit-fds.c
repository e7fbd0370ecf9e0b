/* Opens 20 descriptors on each load and keeps them, slowly enough that it is seen before the system refuses more. With
 * -DCLOSED the destructor closes them: the twin. */
#include <fcntl.h>
#include <unistd.h>

#include "fibonacci.h"

#define COUNT 20

static int opened[COUNT];

__attribute__((constructor)) static void take(void) {
    for (int i = 0; i < COUNT; i++) opened[i] = open("/dev/null", O_RDONLY);
#ifndef CLOSED
    usleep(2000);
#endif
}

#ifdef CLOSED
__attribute__((destructor)) static void close_all(void) {
    for (int i = 0; i < COUNT; i++) close(opened[i]);
}
#endif

FIXTURE_EXPORT int64_t fibonacci(int32_t n) {
    return fibonacci_iterative(n);
}

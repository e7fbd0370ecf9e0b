/* Leaves an open memfd with a page in it on each load: memory that no mapping of the process shows. */
#define _GNU_SOURCE
#include <sys/mman.h>
#include <unistd.h>

#include "fibonacci.h"

__attribute__((constructor)) static void leak(void) {
    int fd = memfd_create("fixture", MFD_CLOEXEC);
    if (fd < 0) return;
    char page[4096] = {1};
    if (write(fd, page, sizeof page) < 0) close(fd);
}

FIXTURE_EXPORT int64_t fibonacci(int32_t n) {
    return fibonacci_iterative(n);
}

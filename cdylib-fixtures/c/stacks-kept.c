/* Keeps memory in the shape of four stacks of ended threads, once in the life of the process, as a C library does: each has a guard page at
 * its end. glibc makes it by MADV_GUARD_INSTALL since 2.42, so that all of it is one mapping. -DUNGUARDED: no guards, as of memory that the
 * library itself maps and never unmaps. */
#define _GNU_SOURCE
#include <sys/mman.h>
#include <unistd.h>

#include "fibonacci.h"

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif
#define GUARD_INSTALL 102 /* MADV_GUARD_INSTALL, Linux 6.13 */
#define STACKS 4
#define STACK (128 << 10)

/* The first load finds the place free. */
static char *const place = (char *)0x2000000000;

__attribute__((constructor)) static void keep(void) {
    char *at = mmap(place, STACKS * STACK, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
#ifndef UNGUARDED
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    for (int i = 0; at != MAP_FAILED && i < STACKS; i++)
        /* As glibc does where the kernel is older. */
        if (madvise(at + i * STACK, page, GUARD_INSTALL) != 0) mprotect(at + i * STACK, page, PROT_NONE);
#else
    (void)at;
#endif
}

FIXTURE_EXPORT int64_t fibonacci(int32_t n) {
    return fibonacci_iterative(n);
}

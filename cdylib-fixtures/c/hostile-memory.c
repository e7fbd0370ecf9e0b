/* Treats memory that others rely on as its own, one way for each macro. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <malloc.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

#include "hostile.h"

static __attribute__((unused)) char *from;
static __attribute__((unused)) size_t length;

#if defined(UNMAPS_ITSELF)
static char data[1 << 16];
static void harm(void) {
    munmap((void *)(((uintptr_t)data + 4095) & ~(uintptr_t)4095), 8192);
    data[8192] = 1;
}
#elif defined(UNMAPS_HEAP)
static void harm(void) {
    if (find_mapping("[heap]", &from, &length)) munmap(from, length);
}
#elif defined(UNMAPS_CHANNEL)
static void harm(void) {
    if (!find_mapping("memfd:dlsoak-channel", &from, &length)) abort();
    munmap(from, length);
}
#elif defined(SCRIBBLES_CHANNEL)
/* Every word becomes something else, in the same way each time. */
static void harm(void) {
    if (!find_mapping("memfd:dlsoak-channel", &from, &length)) abort();
    uint32_t x = 2463534242u;
    for (size_t i = 0; i + 4 <= length; i += 4) {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        *(volatile uint32_t *)(void *)(from + i) = x;
    }
}
#elif defined(TRUNCATES_CHANNEL)
/* Its descriptor is closed, but the kernel has another way in, for those who may use it. */
static void harm(void) {
    if (!find_mapping("memfd:dlsoak-channel", &from, &length)) abort();
    char name[128];
    snprintf(name, sizeof name, "/proc/self/map_files/%lx-%lx", (unsigned long)from,
             (unsigned long)(from + length));
    int fd = open(name, O_RDWR | O_CLOEXEC);
    if (fd < 0) return;
    if (ftruncate(fd, 0) == 0) abort();
    close(fd);
}
#elif defined(FREES_WRONGLY)
static void harm(void) {
    char *volatile block = malloc(64);
    free((void *)((uintptr_t)block + 8));
}
#elif defined(OVERRUNS)
/* Beyond the end of its block lies the size of all that is left; the next large block is to come from there. */
static void harm(void) {
    char *block = malloc(100000);
    /* The compiler is not to know what this points to, or it drops the write. */
    __asm__ volatile("" : "+r"(block) : : "memory");
    memset(block, 0x41, 100000 + 64);
    void *volatile next = malloc(120000);
    (void)next;
}
#elif defined(OVERWRITES_GOT)
extern uintptr_t _GLOBAL_OFFSET_TABLE_[] __attribute__((visibility("hidden")));
static void harm(void) {
    uintptr_t page = (uintptr_t)_GLOBAL_OFFSET_TABLE_ & ~(uintptr_t)4095;
    if (mprotect((void *)page, 8192, PROT_READ | PROT_WRITE) != 0) abort();
    for (int i = 3; i < 16; i++) _GLOBAL_OFFSET_TABLE_[i] = 1;
    if (getpid() < 0) abort();
}
#elif defined(SHRINKS_HEAP)
static void harm(void) {
    if (find_mapping("[heap]", &from, &length)) brk(from);
}
#elif defined(TUNES)
static void harm(void) {
    mallopt(M_MMAP_THRESHOLD, 0);
    mallopt(M_PERTURB, 0xa5);
    mallopt(M_TRIM_THRESHOLD, 0);
    mallopt(M_TOP_PAD, 1 << 20);
    if (sbrk(1 << 16) == (void *)-1) abort();
}
#endif

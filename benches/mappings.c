/* Preloaded, gives a process as many mappings more as MAPPINGS says, one page each and every other one with other rights, so
 * that the kernel keeps them apart: what a host with many libraries has. */
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

__attribute__((constructor)) static void map(void) {
    const char *wanted = getenv("MAPPINGS");
    size_t count = wanted == NULL ? 0 : (size_t)atol(wanted), page = (size_t)sysconf(_SC_PAGESIZE);
    char *at = count == 0 ? MAP_FAILED : mmap(NULL, count * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED)
        return;
    for (size_t i = 0; i < count; i++)
        at[i * page] = 1;
    for (size_t i = 0; i < count; i += 2)
        mprotect(at + i * page, page, PROT_READ);
}

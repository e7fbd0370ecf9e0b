/* A plain C host that loads a library several times, and maps something over the place of each load before the next one.
 *
 *     cc taken.c -o taken && ./taken libbabeltrace-ctf.so.1
 *
 * A library that has left a pointer to itself in a library that stays crashes here; one that has not comes back each time. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <link.h>
#include <stdio.h>
#include <sys/mman.h>

enum { OBJECTS = 512, LOADS = 4, PAGE = 4096 };

static struct {
    size_t low, high;
} objects[OBJECTS];
static int count;

static int note(struct dl_phdr_info *info, size_t size, void *data) {
    (void)size, (void)data;
    if (count == OBJECTS) return 1;
    size_t low = (size_t)-1, high = 0;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[i];
        if (header->p_type != PT_LOAD) continue;
        size_t start = (info->dlpi_addr + header->p_vaddr) / PAGE * PAGE;
        size_t end = (info->dlpi_addr + header->p_vaddr + header->p_memsz + PAGE - 1) / PAGE * PAGE;
        if (start < low) low = start;
        if (end > high) high = end;
    }
    objects[count].low = low;
    objects[count++].high = high;
    return 0;
}

int main(int arguments, char **argument) {
    if (arguments != 2) return fprintf(stderr, "usage: taken LIBRARY\n"), 2;
    for (int load = 0; load < LOADS; load++) {
        void *handle = dlopen(argument[1], RTLD_NOW);
        if (!handle) return fprintf(stderr, "%s\n", dlerror()), 2;
        count = 0;
        dl_iterate_phdr(note, 0);
        dlclose(handle);
        /* Where an object still is, the kernel refuses. */
        for (int i = 0; i < count; i++)
            mmap((void *)objects[i].low, objects[i].high - objects[i].low, PROT_NONE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
        printf("load %d is closed\n", load + 1);
        fflush(stdout);
    }
    return 0;
}

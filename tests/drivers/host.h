/* What the bare hosts have in common: the loop, and the facts that it prints. `host_NAME PLUGIN CYCLES` opens and closes the plugin as often,
 * and makes the cycle of its interface between. It prints, in one line:
 *
 *   heap=48.00 heap_mean=48.00 unloaded=yes objects=0 descriptors=0 threads=0 keys=0.00 keys_left=0 handlers=0 environment=0 mappings=0
 *   dangling=0 modes_loaded=same modes=same locale=same
 *
 * `heap` is the growth of the heap in bytes per cycle by mallinfo2: the median of 16 parts of the second half, because caches of the host fill
 * up at some time. `heap_mean` is the mean of that half, and `keys` the growth of the thread-specific keys. `objects`, `descriptors`, `threads`,
 * `keys_left` and `mappings` count what stays at the end, and `handlers` and `environment` what is another one then, of signals and of variables.
 * `dangling` counts words of memory in use that point into an object of the last cycle that is gone. The modes are those of the floating-point
 * units, after the first dlopen and at the end; where they or the locale differ, the new ones are there. Where a step fails, the line begins
 * with `step=2 cycle=0` instead of the figures of the heap, without those of keys, and the exit code is 1. 2 is a plugin that can't be opened, with the loader's words,
 * and 3 a wrong use. */
#ifndef HOST_H
#define HOST_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dirent.h>
#include <dlfcn.h>
#include <link.h>
#include <locale.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Before main: begins anew without malloc's caches of threads, whose free blocks mallinfo2 takes for used ones, and without its fast bins, whose
 * free chunks are marked as used. What is freed is overwritten, so that no block holds what another one held before. */
__attribute__((constructor)) static void without_caches(int count, char **arguments, char **environment)
{
    (void)count, (void)environment;
    mallopt(M_MXFAST, 0);
    mallopt(M_PERTURB, 0x5a);
    if (getenv("GLIBC_TUNABLES") == NULL && setenv("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0", 1) == 0)
        execv("/proc/self/exe", arguments);
}

/* Bytes of the heap in use, as glibc accounts for them. */
static inline size_t heap(void)
{
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

/* Entries of a directory of /proc. */
static inline long entries(const char *path)
{
    long count = 0;
    DIR *directory = opendir(path);
    while (directory != NULL && readdir(directory) != NULL)
        count++;
    closedir(directory);
    return count;
}

/* Mappings of memory, without those of files: what the loader maps is counted as objects. */
static inline long mappings(void)
{
    long count = 0;
    char line[4352];
    FILE *maps = fopen("/proc/self/maps", "r");
    while (maps != NULL && fgets(line, sizeof line, maps) != NULL)
        count += strchr(line, '/') == NULL;
    if (maps != NULL)
        fclose(maps);
    return count;
}

/* Handlers of signals, as they are before the first cycle. */
static struct sigaction handled[NSIG];

/* How many signals are handled in another way than `handled` has it, which is made where `first` says so. */
static inline long handlers(int first)
{
    long count = 0;
    for (int number = 1; number < NSIG; number++) {
        struct sigaction now = {0};
        sigaction(number, NULL, &now);
        count += now.sa_handler != handled[number].sa_handler;
        if (first)
            handled[number] = now;
    }
    return count;
}

/* Variables of the environment that are not in this copy of it. */
static inline long variables_beside(char **copy)
{
    extern char **environ;
    long count = 0;
    for (char **variable = environ; variable != NULL && *variable != NULL; variable++) {
        char **same = copy;
        while (*same != NULL && strcmp(*same, *variable) != 0)
            same++;
        count += *same == NULL;
    }
    return count;
}

/* A copy of the environment's texts, which are the process's own. */
static inline char **variables(void)
{
    extern char **environ;
    size_t count = 0;
    while (environ != NULL && environ[count] != NULL)
        count++;
    char **copy = calloc(count + 1, sizeof *copy);
    for (size_t at = 0; at < count; at++)
        copy[at] = strdup(environ[at]);
    return copy;
}

/* Thread-specific keys that are free. */
static inline long free_keys(void)
{
    static pthread_key_t made[4096];
    long count = 0, at;
    while (count < 4096 && pthread_key_create(&made[count], NULL) == 0)
        count++;
    for (at = 0; at < count; at++)
        pthread_key_delete(made[at]);
    return count;
}

/* How the floating-point units round, which exceptions trap, and whether small numbers become 0. */
static inline unsigned long modes(void)
{
#if defined __x86_64__
    unsigned short x87;
    __asm__ volatile("fnstcw %0" : "=m"(x87));
    /* The lowest six bits say what has happened. */
    return (unsigned long)(__builtin_ia32_stmxcsr() & ~0x3fu) << 16 | x87;
#elif defined __aarch64__
    unsigned long fpcr;
    __asm__ volatile("mrs %0, fpcr" : "=r"(fpcr));
    return fpcr;
#else
    return 0;
#endif
}

static inline int count_object(struct dl_phdr_info *info, size_t size, void *count)
{
    (void)info, (void)size;
    ++*(long *)count;
    return 0;
}

/* Objects that the loader has. */
static inline long objects(void)
{
    long count = 0;
    dl_iterate_phdr(count_object, &count);
    return count;
}

/* Of the plugin's exports with this beginning and end, the first by name after another one, or the first of all after ""; NULL where there is
 * none. */
static inline const char *exported(void *plugin, const char *begin, const char *end, const char *after)
{
    const ElfW(Sym) *symbol = NULL;
    const char *texts = NULL, *found = NULL;
    for (const ElfW(Dyn) *at = ((struct link_map *)plugin)->l_ld; at->d_tag != DT_NULL; at++) {
        if (at->d_tag == DT_SYMTAB)
            symbol = (const ElfW(Sym) *)at->d_un.d_ptr;
        if (at->d_tag == DT_STRTAB)
            texts = (const char *)at->d_un.d_ptr;
    }
    /* Linkers lay the table of names behind that of symbols. */
    for (; symbol != NULL && (const char *)(symbol + 1) <= texts; symbol++) {
        const char *name = texts + symbol->st_name;
        size_t length = strlen(name), first = strlen(begin), last = strlen(end);
        if (symbol->st_shndx != SHN_UNDEF && ELF64_ST_BIND(symbol->st_info) != STB_LOCAL && length > first + last
            && strncmp(name, begin, first) == 0 && strcmp(name + length - last, end) == 0 && strcmp(name, after) > 0
            && (found == NULL || strcmp(name, found) < 0))
            found = name;
    }
    return found;
}

/* Where an object is, and in it what unwinds its frames, as complements: a table of addresses would be found by what looks for them. */
struct range {
    uintptr_t not_begin, not_end, not_frames;
};

struct ranges {
    long count;
    struct range of[1024];
};

static inline int add_range(struct dl_phdr_info *info, size_t size, void *ranges)
{
    struct ranges *to = ranges;
    uintptr_t begin = UINTPTR_MAX, end = 0, frames = 0;
    (void)size;
    for (int at = 0; at < info->dlpi_phnum; at++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[at];
        uintptr_t first = info->dlpi_addr + part->p_vaddr;
        if (part->p_type == PT_GNU_EH_FRAME)
            frames = first;
        if (part->p_type != PT_LOAD)
            continue;
        begin = first < begin ? first : begin;
        end = first + part->p_memsz > end ? first + part->p_memsz : end;
    }
    if (to->count < 1024)
        to->of[to->count++] = (struct range){~begin, ~end, ~frames};
    return 0;
}

/* Leaves those of `ranges` that no object has now. */
static inline void keep_gone(struct ranges *ranges)
{
    static struct ranges now;
    long kept = 0;
    now.count = 0;
    dl_iterate_phdr(add_range, &now);
    for (long at = 0; at < ranges->count; at++) {
        long other = 0;
        /* Of complements, the larger one is the lower address. */
        while (other < now.count && (ranges->of[at].not_begin <= now.of[other].not_end || now.of[other].not_begin <= ranges->of[at].not_end))
            other++;
        if (other == now.count)
            ranges->of[kept++] = ranges->of[at];
    }
    ranges->count = kept;
}

/* Words between two addresses that point into one of the ranges. An object's first address and that of its frames are the loader's notes of where
 * one was (_dl_find_object). */
static inline long words_into(const struct ranges *ranges, const uintptr_t *from, const uintptr_t *to)
{
    long count = 0;
    for (; from < to; from++)
        for (long at = 0; at < ranges->count; at++)
            count += ~*from < ranges->of[at].not_begin && ~*from > ranges->of[at].not_end && ~*from != ranges->of[at].not_frames;
    return count;
}

/* The same in chunks of glibc's heap that are in use, which the next chunk's lowest bit says of each. */
static inline long words_of_chunks(const struct ranges *ranges, const char *begin, const char *end)
{
    long count = 0;
    for (const char *next; begin + 32 <= end; begin = next) {
        size_t size = ((const size_t *)begin)[1] & ~(size_t)7;
        next = begin + size;
        if (size < 32 || size > (size_t)(end - begin) || next + 16 > end)
            break;
        if (((const size_t *)next)[1] & 1)
            count += words_into(ranges, (const uintptr_t *)(begin + 16), (const uintptr_t *)(next + 8));
    }
    return count;
}

/* Words of this process's memory that point into objects which are gone. Left out are the loader's data, stacks, whose dead frames hold anything
 * (a thread's has a guard below it), and the arenas of other threads than this one. */
static inline long dangling(struct ranges *ranges)
{
    static char texts[1 << 20];
    long count = 0, after_guard = 0, of_loader = 0;
    size_t length = 0, read;
    keep_gone(ranges);
    FILE *maps = fopen("/proc/self/maps", "r");
    while (maps != NULL && (read = fread(texts + length, 1, sizeof texts - 1 - length, maps)) > 0)
        length += read;
    if (maps != NULL)
        fclose(maps);
    texts[length] = 0;
    for (char *line = texts, *next; *line != 0; line = next) {
        unsigned long begin, end;
        char modes[5] = "";
        next = line + strcspn(line, "\n");
        next += *next == '\n';
        char last = *(next - 1);
        *(next - 1) = 0;
        sscanf(line, "%lx-%lx %4s", &begin, &end, modes);
        int has_file = strchr(line, '/') != NULL, is_heap = strstr(line, "[heap]") != NULL;
        of_loader = strstr(line, "/ld-linux") != NULL || (of_loader && !has_file);
        if (strncmp(modes, "rw-p", 4) == 0 && !of_loader && !after_guard && strstr(line, "[stack]") == NULL && begin % (64 << 20) != 0)
            count += is_heap ? words_of_chunks(ranges, (const char *)begin, (const char *)end)
                             : words_into(ranges, (const uintptr_t *)begin, (const uintptr_t *)end);
        after_guard = strncmp(modes, "---p", 4) == 0 && !has_file;
        *(next - 1) = last;
    }
    return count;
}

static inline void print_modes(const char *name, unsigned long before, unsigned long after)
{
    if (before == after)
        printf(" %s=same", name);
    else
        printf(" %s=%lx->%lx", name, before, after);
}

static inline int compare(const void *one, const void *other)
{
    double first = *(const double *)one, second = *(const double *)other;
    return (first > second) - (first < second);
}

/* How a host opens its plugins. */
#ifndef HOST_OPEN
#define HOST_OPEN RTLD_NOW
#endif

/* A host's main: `cycle` returns 0, or the number of the step that failed. */
static inline int soak(int count, char **arguments, int (*cycle)(void *plugin))
{
    long cycles = count < 3 ? 0 : atol(arguments[2]);
    if (cycles < 1) {
        fprintf(stderr, "usage: %s PLUGIN CYCLES\n", arguments[0]);
        return 3;
    }
    enum { PARTS = 16 };
    double parts[PARTS];
    size_t heaps[PARTS + 1] = {0};
    long ends[PARTS + 1], part = 0, keys_middle = 0, keys_before = free_keys();
    long descriptors = entries("/proc/self/fd"), threads = entries("/proc/self/task"), objects_before = objects();
    unsigned long modes_before = modes(), modes_loaded = modes_before;
    char **environment = variables();
    handlers(1);
    char *locale = strdup(setlocale(LC_ALL, NULL));
    for (int end = 0; end <= PARTS; end++)
        ends[end] = cycles / 2 + (cycles - cycles / 2) * end / PARTS;
    static struct ranges loaded;
    long mappings_before = mappings(), number = 0;
    int failed = 0;
    for (; number < cycles; number++) {
        if (number == cycles / 2)
            keys_middle = free_keys();
        for (; part <= PARTS && ends[part] == number; part++)
            heaps[part] = heap();
        void *plugin = dlopen(arguments[1], HOST_OPEN);
        if (plugin == NULL) {
            fprintf(stderr, "%s\n", dlerror());
            return 2;
        }
        if (number == 0)
            modes_loaded = modes();
        if ((failed = cycle(plugin)) != 0)
            break;
        if (number == cycles - 1)
            dl_iterate_phdr(add_range, &loaded);
        dlclose(plugin);
    }
    long left = dangling(&loaded);
    heaps[PARTS] = heap();
    for (part = 0; part < PARTS; part++)
        parts[part] = (double)(long)(heaps[part + 1] - heaps[part]) / (double)(ends[part + 1] - ends[part] + (ends[part + 1] == ends[part]));
    qsort(parts, PARTS, sizeof *parts, compare);
    double measured = (double)(cycles - cycles / 2), mean = (double)(long)(heaps[PARTS] - heaps[0]) / measured;
    if (failed != 0)
        printf("step=%d cycle=%ld", failed, number);
    else
        printf("heap=%.2f heap_mean=%.2f", measured < PARTS ? mean : (parts[PARTS / 2 - 1] + parts[PARTS / 2]) / 2, mean);
    printf(" unloaded=%s", dlopen(arguments[1], RTLD_NOW | RTLD_NOLOAD) == NULL ? "yes" : "no");
    printf(" objects=%ld descriptors=%ld threads=%ld", objects() - objects_before, entries("/proc/self/fd") - descriptors,
        entries("/proc/self/task") - threads);
    if (failed == 0)
        printf(" keys=%.2f", (double)(keys_middle - free_keys()) / measured);
    printf(" keys_left=%ld", keys_before - free_keys());
    printf(" handlers=%ld environment=%ld mappings=%ld", handlers(0), variables_beside(environment), mappings() - mappings_before);
    printf(" dangling=%ld", left);
    print_modes("modes_loaded", modes_before, modes_loaded);
    print_modes("modes", modes_before, modes());
    const char *now = setlocale(LC_ALL, NULL);
    printf(" locale=%s\n", strcmp(locale, now) == 0 ? "same" : now);
    return failed != 0;
}

#endif

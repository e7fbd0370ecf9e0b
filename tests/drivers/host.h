/* What the bare hosts have in common: the loop, and the facts that it prints. `host_NAME PLUGIN CYCLES` opens and closes the plugin as often,
 * and makes the cycle of its interface between. It prints, in one line:
 *
 *   heap=48.00 heap_mean=48.00 unloaded=yes objects=0 descriptors=0 threads=0 keys=0.00 keys_left=0 handlers=0 environment=0 mappings=0
 *   modes_loaded=same modes=same locale=same
 *
 * `heap` is the growth of the heap in bytes per cycle by mallinfo2: the median of 16 parts of the second half, because caches of the host fill
 * up at some time. `heap_mean` is the mean of that half, and `keys` the growth of the thread-specific keys. `objects`, `descriptors`, `threads`,
 * `keys_left` and `mappings` count what stays at the end, and `handlers` and `environment` what is another one then, of signals and of variables. The modes are those of the floating-point units, after the first dlopen and at the end; where
 * they or the locale differ, the new ones are there. A step that fails is `step=2 cycle=0` and exit code 1. 2 is a plugin that can't be opened,
 * with the loader's words, and 3 a wrong use. */
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

/* Before main: begins anew without malloc's caches of threads, whose free blocks mallinfo2 takes for used ones. */
__attribute__((constructor)) static void without_caches(int count, char **arguments, char **environment)
{
    (void)count, (void)environment;
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
    long mappings_before = mappings();
    for (long number = 0; number < cycles; number++) {
        if (number == cycles / 2)
            keys_middle = free_keys();
        for (; part <= PARTS && ends[part] == number; part++)
            heaps[part] = heap();
        void *plugin = dlopen(arguments[1], RTLD_NOW);
        if (plugin == NULL) {
            fprintf(stderr, "%s\n", dlerror());
            return 2;
        }
        if (number == 0)
            modes_loaded = modes();
        int failed = cycle(plugin);
        if (failed != 0) {
            printf("step=%d cycle=%ld\n", failed, number);
            return 1;
        }
        dlclose(plugin);
    }
    heaps[PARTS] = heap();
    for (part = 0; part < PARTS; part++)
        parts[part] = (double)(long)(heaps[part + 1] - heaps[part]) / (double)(ends[part + 1] - ends[part] + (ends[part + 1] == ends[part]));
    qsort(parts, PARTS, sizeof *parts, compare);
    double measured = (double)(cycles - cycles / 2), mean = (double)(long)(heaps[PARTS] - heaps[0]) / measured;
    printf("heap=%.2f heap_mean=%.2f", measured < PARTS ? mean : (parts[PARTS / 2 - 1] + parts[PARTS / 2]) / 2, mean);
    printf(" unloaded=%s", dlopen(arguments[1], RTLD_NOW | RTLD_NOLOAD) == NULL ? "yes" : "no");
    printf(" objects=%ld descriptors=%ld threads=%ld", objects() - objects_before, entries("/proc/self/fd") - descriptors,
        entries("/proc/self/task") - threads);
    printf(" keys=%.2f keys_left=%ld", (double)(keys_middle - free_keys()) / measured, keys_before - free_keys());
    printf(" handlers=%ld environment=%ld mappings=%ld", handlers(0), variables_beside(environment), mappings() - mappings_before);
    print_modes("modes_loaded", modes_before, modes_loaded);
    print_modes("modes", modes_before, modes());
    const char *now = setlocale(LC_ALL, NULL);
    printf(" locale=%s\n", strcmp(locale, now) == 0 ? "same" : now);
    return 0;
}

#endif

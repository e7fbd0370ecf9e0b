/* The least that a cycle costs: open a library, look up a function, call it, close the library, and nothing besides; one
 * thread per library given, which each opens its own. Tells on stdout in one line of JSON how long that took, so that what it
 * takes to start and to end is in no figure, and what memory the process had when it was done.
 *
 *     bare-loop FUNCTION CYCLES CLOCK LIBRARY...
 *
 * CYCLES are those of all threads together. CLOCK is read four times a cycle, as who times the phases does: `none`, `monotonic`
 * and `raw` (clock_gettime), and on x86-64 `tsc`, `tscp`, `lfence-tsc`; `each` reads CLOCK_MONOTONIC once a cycle and tells the
 * median cycle of the first thread, which does not depend on how often other processes take the processor.
 *
 * Two variables in its environment make it comparable with another process:
 *
 * - BARE_LOOP_MAPPINGS=N adds N mappings. At some numbers of mappings, each load and unload makes the kernel split and join a node of
 *   its tree of them. The line of JSON has the number of all mappings while no library is open.
 * - BARE_LOOP_WARMUP=N makes N cycles of warm-up, all threads together, instead of a tenth of CYCLES and one. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#ifdef __x86_64__
#include <x86intrin.h>
#endif

enum { OPENED, LOOKED_UP, CALLED, CLOSED, PHASES };

struct job {
    const char *path, *symbol;
    long cycles, warmup;
    void (*work)(struct job *);
    int64_t sum;
    /* What was read, so that no read is left out; the last one of each phase. */
    uint64_t times[PHASES];
    pthread_barrier_t *start, *go;
    uint64_t began;
    /* Of `each`: room for the time of each cycle. */
    uint64_t *each;
};

static inline uint64_t clock_of(clockid_t id) {
    struct timespec time;
    clock_gettime(id, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static inline uint64_t read_none(void) { return 0; }
static inline uint64_t read_monotonic(void) { return clock_of(CLOCK_MONOTONIC); }
static inline uint64_t read_raw(void) { return clock_of(CLOCK_MONOTONIC_RAW); }
#ifdef __x86_64__
static inline uint64_t read_tsc(void) { return __rdtsc(); }
static inline uint64_t read_tscp(void) {
    unsigned cpu;
    return __rdtscp(&cpu);
}
static inline uint64_t read_lfence_tsc(void) {
    _mm_lfence();
    return __rdtsc();
}
#endif

static void refused(void) {
    fprintf(stderr, "%s\n", dlerror());
    exit(2);
}

/* The loop, with one kind of clock built into it. */
#define LOOP(clock)                                                                                                            \
    static void loop_##clock(struct job *job) {                                                                                \
        for (long i = 0; i < job->cycles; i++) {                                                                               \
            void *library = dlopen(job->path, RTLD_NOW | RTLD_LOCAL);                                                          \
            if (library == NULL)                                                                                               \
                refused();                                                                                                     \
            *(volatile uint64_t *)&job->times[OPENED] = read_##clock();                                                        \
            int64_t (*function)(int32_t) = (int64_t (*)(int32_t))dlsym(library, job->symbol);                                  \
            if (function == NULL)                                                                                              \
                refused();                                                                                                     \
            *(volatile uint64_t *)&job->times[LOOKED_UP] = read_##clock();                                                     \
            job->sum += function(20);                                                                                          \
            *(volatile uint64_t *)&job->times[CALLED] = read_##clock();                                                        \
            dlclose(library);                                                                                                  \
            *(volatile uint64_t *)&job->times[CLOSED] = read_##clock();                                                        \
        }                                                                                                                      \
    }
/* Without a clock there is nothing to store either. */
static void loop_none(struct job *job) {
    for (long i = 0; i < job->cycles; i++) {
        void *library = dlopen(job->path, RTLD_NOW | RTLD_LOCAL);
        if (library == NULL)
            refused();
        int64_t (*function)(int32_t) = (int64_t (*)(int32_t))dlsym(library, job->symbol);
        if (function == NULL)
            refused();
        job->sum += function(20);
        dlclose(library);
    }
}
static void loop_each(struct job *job) {
    uint64_t begin = read_monotonic();
    for (long i = 0; i < job->cycles; i++) {
        long cycles = job->cycles;
        job->cycles = 1;
        loop_none(job);
        job->cycles = cycles;
        uint64_t end = read_monotonic();
        job->each[i] = end - begin;
        begin = end;
    }
}
LOOP(monotonic)
LOOP(raw)
#ifdef __x86_64__
LOOP(tsc)
LOOP(tscp)
LOOP(lfence_tsc)
#endif

static const struct {
    const char *name;
    void (*work)(struct job *);
} CLOCKS[] = {
    {"none", loop_none},
    {"each", loop_each},
    {"monotonic", loop_monotonic},
    {"raw", loop_raw},
#ifdef __x86_64__
    {"tsc", loop_tsc},
    {"tscp", loop_tscp},
    {"lfence-tsc", loop_lfence_tsc},
#endif
};

static int compare(const void *one, const void *other) {
    uint64_t a = *(const uint64_t *)one, b = *(const uint64_t *)other;
    return (a > b) - (a < b);
}

/* As a soak, it warms up; then all begin at once. */
static void *run(void *argument) {
    struct job *job = argument;
    long cycles = job->cycles;
    job->cycles = job->warmup;
    job->work(job);
    job->cycles = cycles;
    pthread_barrier_wait(job->start);
    /* Only now, so that none begins while another one is not measured yet. */
    job->began = read_monotonic();
    pthread_barrier_wait(job->go);
    job->work(job);
    return NULL;
}

/* Lines of /proc/self/maps. */
static long mappings(void) {
    FILE *from = fopen("/proc/self/maps", "r");
    long lines = 0;
    for (int byte; from != NULL && (byte = getc(from)) != EOF;)
        lines += byte == '\n';
    if (from != NULL)
        fclose(from);
    return lines;
}

/* Kilobytes by their name in /proc/self/FILE; 0 where they are not there. */
static long kilobytes(const char *file, const char *name) {
    FILE *from = fopen(file, "r");
    char line[256];
    long sum = 0;
    while (from != NULL && fgets(line, sizeof line, from) != NULL)
        if (strncmp(line, name, strlen(name)) == 0)
            sum += strtol(strchr(line, ':') + 1, NULL, 10);
    if (from != NULL)
        fclose(from);
    return sum;
}

int main(int count, char **arguments) {
    void (*work)(struct job *) = NULL;
    for (size_t i = 0; count > 4 && i < sizeof CLOCKS / sizeof *CLOCKS; i++)
        if (strcmp(arguments[3], CLOCKS[i].name) == 0)
            work = CLOCKS[i].work;
    if (work == NULL) {
        fprintf(stderr, "usage: bare-loop FUNCTION CYCLES none|each|monotonic|raw|tsc|tscp|lfence-tsc LIBRARY...\n");
        return 2;
    }
    int threads = count - 4;
    const char *more = getenv("BARE_LOOP_MAPPINGS"), *first = getenv("BARE_LOOP_WARMUP");
    /* Neighbours differ in what may be done there, so that they are not joined. */
    for (long i = 0; i < (more == NULL ? 0 : atol(more)); i++)
        mmap(NULL, 4096, i % 2 ? PROT_READ : PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    long cycles = atol(arguments[2]) / threads;
    long warmup = first == NULL ? cycles / 10 + 1 : atol(first) / threads;
    pthread_barrier_t start, go;
    pthread_barrier_init(&start, NULL, (unsigned)threads);
    pthread_barrier_init(&go, NULL, (unsigned)threads);
    /* Each on cache lines of its own. */
    struct job *jobs = aligned_alloc(256, 256 * (size_t)threads);
    pthread_t *others = calloc((size_t)threads, sizeof *others);
#define JOB(n) ((struct job *)((char *)jobs + 256 * (size_t)(n)))
    for (int i = 0; i < threads; i++)
        *JOB(i) = (struct job){
            .path = arguments[4 + i], .symbol = arguments[1], .cycles = cycles, .warmup = warmup, .work = work, .start = &start, .go = &go};
    for (int i = 0; i < threads && work == loop_each; i++) {
        JOB(i)->each = malloc((size_t)cycles * sizeof(uint64_t) + sizeof(uint64_t));
        memset(JOB(i)->each, 1, (size_t)cycles * sizeof(uint64_t) + sizeof(uint64_t));
    }
    for (int i = 1; i < threads; i++)
        if (pthread_create(&others[i], NULL, run, JOB(i)) != 0)
            return 2;
    run(JOB(0));
    for (int i = 1; i < threads; i++)
        pthread_join(others[i], NULL);
    uint64_t ended = read_monotonic();
    uint64_t began = JOB(0)->began;
    int64_t sum = 0;
    for (int i = 0; i < threads; i++)
        sum += JOB(i)->sum;
    long clean = kilobytes("/proc/self/smaps_rollup", "Private_Clean:");
    long dirty = kilobytes("/proc/self/smaps_rollup", "Private_Dirty:");
    uint64_t median = 0;
    if (work == loop_each && cycles > 0) {
        qsort(JOB(0)->each, (size_t)cycles, sizeof(uint64_t), compare);
        median = JOB(0)->each[cycles / 2];
    }
    printf("{\"ns\": %llu, \"median_ns\": %llu, \"cycles\": %ld, \"private_kb\": %ld, \"private_dirty_kb\": %ld, \"peak_kb\": %ld, "
           "\"mappings\": %ld}\n",
           (unsigned long long)(ended - began), (unsigned long long)median, cycles * threads, clean + dirty, dirty,
           kilobytes("/proc/self/status", "VmHWM:"), mappings());
    fflush(stdout);
    /* Nothing is left to those who look for leaks. */
    for (int i = 0; i < threads; i++)
        free(JOB(i)->each);
    free(jobs);
    free(others);
    return sum == 0;
}

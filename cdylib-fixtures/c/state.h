/* State that outlives the library: a block of the heap, allocated by whoever comes first. A counter inside the
 * library would start anew with each load, a helper library would be an object that stays, and a mapping or a name in
 * the environment would be residue; this is none of them, and copies of the file find the same memory.
 *
 * Use it from constructors only: they run under the loader's lock, so that threads need no lock here. */
#ifndef FIXTURE_STATE_H
#define FIXTURE_STATE_H

#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define FIXTURE_SLOTS 5000

struct fixture_state {
    uint64_t loads;                    /* how often a library was loaded */
    uint64_t random;                   /* state of fixture_random */
    char *place;                       /* memory that is used piece by piece, */
    uint64_t used;                     /* and how much of it is used */
    struct {
        long tid;
        uint64_t loads;
    } threads[64];                     /* who loaded, and how often */
    void *slots[FIXTURE_SLOTS];        /* allocations that are remembered */
};

/* The state, zero at first. `optarg` is a pointer of the C library's that only getopt uses, and nobody here does. */
static inline struct fixture_state *fixture_state(void) {
    if (!optarg) optarg = calloc(1, sizeof(struct fixture_state));
    return (struct fixture_state *)(void *)optarg;
}

/* A number that is random enough (xorshift), the same sequence in each process. */
static inline uint64_t fixture_random(struct fixture_state *state) {
    uint64_t x = state->random ? state->random : 88172645463325252u;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return state->random = x;
}

/* Allocates and forgets. Not inlined and volatile: a compiler may drop an allocation that nobody uses. */
static __attribute__((noinline, unused)) void fixture_leak(size_t bytes) {
    void *volatile lost = malloc(bytes);
    (void)lost;
}

#endif

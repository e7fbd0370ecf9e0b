/* What the hostile fixtures share: each does its harm in `harm`, in the cycle it is due, and then the usual work. */
#ifndef FIXTURE_HOSTILE_H
#define FIXTURE_HOSTILE_H

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "fibonacci.h"
#include "state.h"

static void harm(void);

/* The load in which the harm is done: the first one, unless -DDUE says another. 0: in every load. */
#ifndef DUE
#define DUE 1
#endif

static int due;

/* Here and not in the call, since one load alone runs its constructors, however many threads call. */
__attribute__((constructor)) static void count_loads(void) {
    uint64_t loads = ++fixture_state()->loads;
    due = DUE == 0 || loads == DUE;
}

FIXTURE_EXPORT int64_t fibonacci(int32_t n) {
    int64_t value = fibonacci_iterative(n);
    if (due) harm();
    return value;
}

/* Finds a mapping of this process by a part of its name; the range without its ends, or 0. */
static inline int find_mapping(const char *name, char **from, size_t *length) {
    char line[512];
    int found = 0;
    FILE *maps = fopen("/proc/self/maps", "re");
    if (!maps) return 0;
    while (!found && fgets(line, sizeof line, maps)) {
        unsigned long start, end;
        if (strstr(line, name) && sscanf(line, "%lx-%lx", &start, &end) == 2) {
            *from = (char *)start;
            *length = end - start;
            found = 1;
        }
    }
    fclose(maps);
    return found;
}

#endif

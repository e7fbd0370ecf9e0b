/* What a plugin does wrong for the tests of its driver, as the environment's FIXTURE says. STEP(run) makes `wrong_run()`: with leak-run it leaks 40
 * bytes, with crash-run it writes to address 0, each in a function of its own so that stacks name it, with dangling-run it leaves the C library a
 * pointer into itself, and with fail-run it returns 1. */
#ifndef FIXTURE_H
#define FIXTURE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where the leaked blocks go, so that the compiler keeps the calls. */
static void *volatile lost;
/* Null, which the compiler must not know. */
static int *volatile nowhere;

static int wanted(const char *what)
{
    const char *fixture = getenv("FIXTURE");
    return fixture != NULL && strcmp(fixture, what) == 0;
}

/* What the C library keeps the address of. */
static char buffer[64];

#define STEP(step) \
    static __attribute__((noinline)) void leak_##step(void) { lost = malloc(40); } \
    static __attribute__((noinline)) void crash_##step(void) { *nowhere = 1; } \
    static int wrong_##step(void) \
    { \
        if (wanted("leak-" #step)) \
            leak_##step(); \
        if (wanted("crash-" #step)) \
            crash_##step(); \
        if (wanted("dangling-" #step)) \
            setvbuf(stdin, buffer, _IOFBF, sizeof buffer); \
        return wanted("fail-" #step); \
    }

#endif

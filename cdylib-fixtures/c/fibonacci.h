/* The work that every fixture exports, the same in each language, so that what differs between two soaks is
 * the library and not the call. Included by C and C++ fixtures. */
#ifndef FIXTURE_FIBONACCI_H
#define FIXTURE_FIBONACCI_H

#include <stdint.h>

#ifdef __cplusplus
#define FIXTURE_EXPORT extern "C" __attribute__((visibility("default")))
#else
#define FIXTURE_EXPORT __attribute__((visibility("default")))
#endif

/* The n-th Fibonacci number, wrapping in 64 bits; 0 for n below 1. */
static inline int64_t fibonacci_iterative(int32_t n) {
    uint64_t a = 0, b = 1;
    for (int32_t i = 0; i < n; i++) {
        uint64_t next = a + b;
        a = b;
        b = next;
    }
    return (int64_t)a;
}

#endif

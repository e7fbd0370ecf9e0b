/* Flushes denormal numbers to zero on the thread that loads it, as the constructor of crtfastmath.o does, which
 * -ffast-math links into libraries up to gcc 12. With -DRESTORED the destructor puts the modes back: the twin. */
#include <fenv.h>

#include "fibonacci.h"

static fenv_t old;

__attribute__((constructor)) static void fast(void) {
    fegetenv(&old);
#if defined(__x86_64__)
    __builtin_ia32_ldmxcsr(__builtin_ia32_stmxcsr() | 0x8040);
#elif defined(__aarch64__)
    uint64_t modes;
    __asm__ volatile("mrs %0, fpcr" : "=r"(modes));
    __asm__ volatile("msr fpcr, %0" : : "r"(modes | 1u << 24));
#endif
}

#ifdef RESTORED
__attribute__((destructor)) static void tidy(void) {
    fesetenv(&old);
}
#endif

FIXTURE_EXPORT int64_t fibonacci(int32_t n) {
    return fibonacci_iterative(n);
}

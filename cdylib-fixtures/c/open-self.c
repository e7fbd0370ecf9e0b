/* Opens itself once more from its constructor: with -DKEEP the handle is left open, with -DNODELETE it is closed and
 * was opened with RTLD_NODELETE; without either it is closed, and nothing stays. */
#define _GNU_SOURCE
#include <dlfcn.h>

#include "fibonacci.h"

#ifdef NODELETE
#define FLAGS (RTLD_NOW | RTLD_NOLOAD | RTLD_NODELETE)
#else
#define FLAGS (RTLD_NOW | RTLD_NOLOAD)
#endif

__attribute__((constructor)) static void open_self(void) {
    Dl_info here;
    if (!dladdr((void *)open_self, &here)) return;
    void *handle = dlopen(here.dli_fname, FLAGS);
#ifndef KEEP
    if (handle) dlclose(handle);
#else
    (void)handle;
#endif
}

FIXTURE_EXPORT int64_t fibonacci(int32_t n) {
    return fibonacci_iterative(n);
}

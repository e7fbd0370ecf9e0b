/* Changes what the kernel allows the process, one limit for each macro. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/resource.h>

#include "hostile.h"

static inline void limit(int which, rlim_t soft) {
    struct rlimit now;
    getrlimit(which, &now);
    now.rlim_cur = soft < now.rlim_max ? soft : now.rlim_max;
    if (setrlimit(which, &now) != 0) abort();
}

static void harm(void) {
#if defined(FILES)
    limit(RLIMIT_NOFILE, 0);
#elif defined(MEMORY)
    limit(RLIMIT_AS, 1 << 20);
#elif defined(OTHERS)
    limit(RLIMIT_FSIZE, 0);
    limit(RLIMIT_CORE, RLIM_INFINITY);
    limit(RLIMIT_STACK, 1 << 16);
#endif
}

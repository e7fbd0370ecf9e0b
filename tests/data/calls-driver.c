/* A driver whose host has a descriptor and a variable. Where they are made is the only difference: in the set-up, or with -DFIRST in the
 * first cycle, where they are taken for the library's. SETUP is what the set-up returns. */
#define _POSIX_C_SOURCE 200809L
#include "../../examples/driver/dlsoak_driver.h"

#include <fcntl.h>
#include <stdlib.h>

#ifndef SETUP
#define SETUP 0
#endif

static int state = -1;

static void host_state(void) {
    state = open("/etc/hostname", O_RDONLY);
    setenv("HOST_SETUP", "1", 1);
}

#ifndef FIRST
int setup(void) {
    host_state();
    return SETUP;
}
#endif

DLSOAK_EXPORT int host_new(int number);

int host_new(int number) {
    return number;
}

DLSOAK_EXERCISE(one_cycle) {
    int (*use)(void *);
    if (dlsoak_find(handle, "use", &use) != 0)
        return 1;
#ifdef FIRST
    if (state < 0)
        host_state();
#endif
    return state < 0 ? 2 : use(handle);
}

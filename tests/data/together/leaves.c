// A library that leaves by each load what it is told to: 32 B of the heap, a descriptor, an ignored signal. With SAYS it prints its name.
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

__attribute__((constructor)) static void begin(void) {
#ifdef HEAP
    void *volatile kept = malloc(24);
    (void)kept;
#endif
#ifdef FDS
    open("/dev/null", O_RDONLY);
#endif
#ifdef SIGNAL
    signal(SIGUSR1, SIG_IGN);
#endif
#ifdef SAYS
    dprintf(1, "%s\n", SAYS);
#endif
}
int answer(int value) { return value; }

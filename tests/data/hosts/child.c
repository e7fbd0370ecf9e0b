// A plugin that aborts where a child process sees what the host links.
#include <stdlib.h>

int child(void) {
    if (system("test -z \"$LD_PRELOAD$DLSOAK_LD_PRELOAD\"") != 0) abort();
    return 0;
}

/* A bare host that only opens and closes: host_plain LIBRARY CYCLES [HELD]... . It opens what is held first and keeps it, for all to see, as
 * a program has what it is linked with. Functions are looked up when they are called, because those of a host that is not this one are
 * nowhere. */
#define HOST_OPEN RTLD_LAZY
#include "host.h"

static int cycle(void *plugin)
{
    (void)plugin;
    return 0;
}

int main(int count, char **arguments)
{
    for (int held = 3; held < count; held++)
        if (dlopen(arguments[held], RTLD_LAZY | RTLD_GLOBAL) == NULL)
            fprintf(stderr, "not held: %s\n", dlerror());
    return soak(count, arguments, cycle);
}

/* A bare host of OpenCL drivers, the second witness of the driver `opencl`: host_opencl DRIVER.so CYCLES. It declares what it uses. */
#include "host.h"

struct object { void **table; };

static int cycle(void *plugin)
{
    void *(*find)(const char *) = dlsym(plugin, "clGetExtensionFunctionAddress");
    int (*get)(uint32_t, struct object **, uint32_t *) = find("clIcdGetPlatformIDsKHR");
    struct object *platforms[16], *devices[16];
    uint32_t count = 0, found = 0;
    if (get == NULL)
        return 1;
    int is = get(0, NULL, &count);
    if (is != 0)
        return is == -1001 ? 0 : 1;
    if (count > 16)
        count = 16;
    if (count > 0 && get(count, platforms, NULL) != 0)
        return 1;
    for (uint32_t number = 0; number < count; number++) {
        struct object *platform = platforms[number];
        typedef int (*Info)(struct object *, uint32_t, size_t, void *, size_t *);
        char name[1024];
        if (((Info)platform->table[1])(platform, 0x902, sizeof name, name, NULL) != 0)
            return 2;
        is = ((int (*)(struct object *, uint64_t, uint32_t, struct object **, uint32_t *))platform->table[2])(
            platform, 0xffffffff, 16, devices, &found);
        if (is == -1 || (is == 0 && found == 0))
            continue;
        if (is != 0)
            return 3;
        for (uint32_t device = 0; device < found && device < 16; device++)
            if (((Info)devices[device]->table[3])(devices[device], 0x102b, sizeof name, name, NULL) != 0)
                return 4;
        intptr_t properties[] = {0x1084, (intptr_t)platform, 0};
        struct object *context = ((struct object * (*)(intptr_t *, uint32_t, struct object **, void *, void *, int *))
            platform->table[4])(properties, found < 16 ? found : 16, devices, NULL, NULL, &is);
        if (context == NULL || is != 0)
            return 5;
        if (((int (*)(struct object *))context->table[7])(context) != 0)
            return 6;
    }
    return 0;
}

int main(int count, char **arguments)
{
    return soak(count, arguments, cycle);
}

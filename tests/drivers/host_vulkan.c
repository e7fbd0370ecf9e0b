/* A bare host of Vulkan drivers, the second witness of the driver `vulkan`: host_vulkan DRIVER.so CYCLES. It declares what it uses. */
#include "host.h"

struct application { int type; const void *next; const char *name; uint32_t version; const char *engine; uint32_t engine_version, api; };
struct instance_info {
    int type; const void *next; uint32_t flags; const struct application *application;
    uint32_t layers; const char *const *layer_names; uint32_t extensions; const char *const *extension_names;
};

static int cycle(void *plugin)
{
    void *(*get)(void *, const char *) = dlsym(plugin, "vk_icdGetInstanceProcAddr");
    int (*negotiate)(uint32_t *) = dlsym(plugin, "vk_icdNegotiateLoaderICDInterfaceVersion");
    uint32_t version = 5, count = 0;
    int is = negotiate != NULL ? negotiate(&version) : 0;
    if (is != 0 || version > 5)
        return is == -9 ? 0 : 1;
    struct application application = {0, NULL, "host", 1, NULL, 0, 1 << 22};
    struct instance_info info = {1, NULL, 0, &application, 0, NULL, 0, NULL};
    int (*create)(const void *, const void *, void **) = get(NULL, "vkCreateInstance");
    void *instance = NULL, *devices[16];
    is = create(&info, NULL, &instance);
    if (is != 0)
        return is == -9 ? 0 : 2;
    int (*enumerate)(void *, uint32_t *, void **) = get(instance, "vkEnumeratePhysicalDevices");
    void (*properties)(void *, void *) = get(instance, "vkGetPhysicalDeviceProperties");
    void (*destroy)(void *, void *) = get(instance, "vkDestroyInstance");
    if (enumerate(instance, &count, NULL) != 0)
        return 3;
    if (count > 16)
        count = 16;
    if (enumerate(instance, &count, devices) < 0)
        return 3;
    uint64_t room[256];
    for (uint32_t device = 0; device < count; device++)
        properties(devices[device], room);
    destroy(instance, NULL);
    return 0;
}

int main(int count, char **arguments)
{
    return soak(count, arguments, cycle);
}

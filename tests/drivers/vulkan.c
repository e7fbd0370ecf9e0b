/* A Vulkan driver without devices but one. FIXTURE says what it does wrong: leak-STEP, fail-STEP or crash-STEP, where STEP is negotiate,
 * create_instance, enumerate, properties or destroy_instance; the last two can't fail. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "fixture.h"

STEP(negotiate)
STEP(create_instance)
STEP(enumerate)
STEP(properties)
STEP(destroy_instance)

/* What an object that is dispatched begins with. */
struct object { uintptr_t magic; };
static struct object device = {0x01CDC0DE};

int vk_icdNegotiateLoaderICDInterfaceVersion(uint32_t *version)
{
    if (*version > 5)
        *version = 5;
    return wrong_negotiate() ? -3 : 0;
}

static int create(const void *info, const void *allocator, struct object **to)
{
    (void)info;
    (void)allocator;
    if (wrong_create_instance())
        return -3;
    *to = malloc(sizeof **to);
    (*to)->magic = 0x01CDC0DE;
    return 0;
}

static int devices(struct object *instance, uint32_t *count, struct object **to)
{
    (void)instance;
    if (to == NULL) {
        *count = 1;
        return 0;
    }
    if (wrong_enumerate())
        return -1;
    to[0] = &device;
    return 0;
}

static void get_properties(struct object *of, void *to)
{
    (void)of;
    memset(to, 0, 824);
    wrong_properties();
}

static void destroy(struct object *instance, const void *allocator)
{
    (void)allocator;
    wrong_destroy_instance();
    free(instance);
}

void *vk_icdGetInstanceProcAddr(struct object *instance, const char *name)
{
    (void)instance;
    if (strcmp(name, "vkCreateInstance") == 0)
        return (void *)create;
    if (strcmp(name, "vkEnumeratePhysicalDevices") == 0)
        return (void *)devices;
    if (strcmp(name, "vkGetPhysicalDeviceProperties") == 0)
        return (void *)get_properties;
    return strcmp(name, "vkDestroyInstance") == 0 ? (void *)destroy : NULL;
}

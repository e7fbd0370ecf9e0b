/* An OpenCL driver with one platform and one device. FIXTURE says what it does wrong: leak-STEP, fail-STEP or crash-STEP, where STEP is
 * platform_ids, platform_info, device_ids, device_info, create_context or release_context. With -DHIDDEN the platforms are only given
 * through clGetExtensionFunctionAddress, and with -DLOADER it exports, as OpenCL's loader does, clGetPlatformIDs as well. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "fixture.h"

STEP(platform_ids)
STEP(platform_info)
STEP(device_ids)
STEP(device_info)
STEP(create_context)
STEP(release_context)

/* What each object begins with. */
struct object { void **table; };

static int get_platform_info(struct object *of, uint32_t what, size_t room, char *to, size_t *len)
{
    (void)of, (void)what, (void)len;
    if (room > 0)
        to[0] = 0;
    return wrong_platform_info() ? -30 : 0;
}

static int get_device_info(struct object *of, uint32_t what, size_t room, char *to, size_t *len)
{
    (void)of, (void)what, (void)len;
    if (room > 0)
        to[0] = 0;
    return wrong_device_info() ? -30 : 0;
}

static int get_devices(struct object *, uint64_t, uint32_t, struct object **, uint32_t *);
static struct object *create(const intptr_t *, uint32_t, struct object **, void *, void *, int *);
static int release(struct object *);

static void *table[] = {
    NULL, (void *)get_platform_info, (void *)get_devices, (void *)get_device_info, (void *)create, NULL, NULL, (void *)release,
};
static struct object platform = {table}, device = {table};

static int get_devices(struct object *of, uint64_t type, uint32_t room, struct object **to, uint32_t *count)
{
    (void)of, (void)type;
    if (wrong_device_ids())
        return -33;
    if (room > 0 && to != NULL)
        to[0] = &device;
    if (count != NULL)
        *count = 1;
    return 0;
}

static struct object *create(const intptr_t *properties, uint32_t count, struct object **devices, void *notify, void *data, int *error)
{
    (void)properties, (void)count, (void)devices, (void)notify, (void)data;
    *error = wrong_create_context() ? -6 : 0;
    if (*error != 0)
        return NULL;
    struct object *context = malloc(sizeof *context);
    context->table = table;
    return context;
}

static int release(struct object *context)
{
    free(context);
    return wrong_release_context() ? -34 : 0;
}

#if defined(HIDDEN) || defined(LOADER)
static
#endif
int clIcdGetPlatformIDsKHR(uint32_t room, struct object **to, uint32_t *count)
{
    if (count != NULL)
        *count = 1;
    if (room == 0)
        return 0;
    to[0] = &platform;
    return wrong_platform_ids() ? -6 : 0;
}

void *clGetExtensionFunctionAddress(const char *name)
{
    return strcmp(name, "clIcdGetPlatformIDsKHR") == 0 ? (void *)clIcdGetPlatformIDsKHR : NULL;
}

#ifdef LOADER
int clGetPlatformIDs(uint32_t room, struct object **to, uint32_t *count)
{
    return clIcdGetPlatformIDsKHR(room, to, count);
}
#endif

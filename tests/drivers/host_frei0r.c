/* A bare frei0r host, the second witness of the driver `frei0r`: host_frei0r PLUGIN CYCLES [INSTANCES]
 *
 * Each cycle opens the plugin, makes the calls that the driver makes, and closes it. The host prints how the heap grows per cycle between
 * the middle and the end. It includes the real header, of Debian's frei0r-plugins-dev.
 *
 * cc -O1 -g -o host_frei0r host_frei0r.c
 */

#include <dlfcn.h>
#include <frei0r.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host.h"

enum { WIDTH = 64, HEIGHT = 48, PIXELS = WIDTH * HEIGHT, MOST = 64 };

static void fail(const char *what)
{
    fprintf(stderr, "%s failed\n", what);
    exit(1);
}

static void cycle(void *handle, int instances)
{
    int (*init)(void) = (int (*)(void))dlsym(handle, "f0r_init");
    void (*deinit)(void) = (void (*)(void))dlsym(handle, "f0r_deinit");
    void (*describe)(f0r_plugin_info_t *) = (void (*)(f0r_plugin_info_t *))dlsym(handle, "f0r_get_plugin_info");
    void (*describe_param)(f0r_param_info_t *, int) = (void (*)(f0r_param_info_t *, int))dlsym(handle, "f0r_get_param_info");
    f0r_instance_t (*construct)(unsigned, unsigned) = (f0r_instance_t(*)(unsigned, unsigned))dlsym(handle, "f0r_construct");
    void (*destruct)(f0r_instance_t) = (void (*)(f0r_instance_t))dlsym(handle, "f0r_destruct");
    void (*get)(f0r_instance_t, f0r_param_t, int) = (void (*)(f0r_instance_t, f0r_param_t, int))dlsym(handle, "f0r_get_param_value");
    void (*set)(f0r_instance_t, f0r_param_t, int) = (void (*)(f0r_instance_t, f0r_param_t, int))dlsym(handle, "f0r_set_param_value");
    void (*update)(f0r_instance_t, double, const uint32_t *, uint32_t *) =
        (void (*)(f0r_instance_t, double, const uint32_t *, uint32_t *))dlsym(handle, "f0r_update");
    void (*update2)(f0r_instance_t, double, const uint32_t *, const uint32_t *, const uint32_t *, uint32_t *) =
        (void (*)(f0r_instance_t, double, const uint32_t *, const uint32_t *, const uint32_t *, uint32_t *))dlsym(handle, "f0r_update2");
    uint32_t(*frames)[PIXELS] = calloc(4, sizeof *frames);
    f0r_instance_t made[MOST];
    if (init == NULL || init() < 0)
        fail("f0r_init");
    f0r_plugin_info_t info;
    memset(&info, 0, sizeof info);
    describe(&info);
    int *types = calloc((size_t)info.num_params + 1, sizeof *types);
    for (int index = 0; index < info.num_params; index++) {
        f0r_param_info_t param;
        memset(&param, 0, sizeof param);
        describe_param(&param, index);
        types[index] = param.type;
    }
    for (int number = 0; number < 3; number++)
        for (int pixel = 0; pixel < PIXELS; pixel++) {
            unsigned x = (unsigned)pixel % WIDTH, y = (unsigned)pixel / WIDTH;
            frames[number][pixel] = 0xff000000 | x * 4 | y * 5 << 8 | (x + y) << 16;
        }
    for (int i = 0; i < instances; i++)
        if ((made[i] = construct(WIDTH, HEIGHT)) == NULL)
            fail("f0r_construct");
    for (int i = 0; i < instances; i++)
        for (int index = 0; index < info.num_params; index++) {
            union {
                double numbers[2];
                char *text;
            } value = {{0, 0}};
            char *copy = NULL;
            get(made[i], &value, index);
            if (types[index] == F0R_PARAM_STRING)
                value.text = copy = strdup(value.text ? value.text : "");
            set(made[i], &value, index);
            free(copy);
        }
    for (int i = 0; i < instances; i++) {
        int inputs = info.plugin_type == F0R_PLUGIN_TYPE_FILTER ? 1 : info.plugin_type == F0R_PLUGIN_TYPE_SOURCE ? 0 : info.plugin_type;
        uint32_t *first = inputs > 0 ? frames[0] : NULL, *second = inputs > 1 ? frames[1] : NULL, *third = inputs > 2 ? frames[2] : NULL;
        if (info.plugin_type < F0R_PLUGIN_TYPE_MIXER2 && update != NULL)
            update(made[i], 0, first, frames[3]);
        else
            update2(made[i], 0, first, second, third, frames[3]);
    }
    for (int i = 0; i < instances; i++)
        destruct(made[i]);
    free(types);
    free(frames);
    deinit();
}

int main(int count, char **arguments)
{
    if (count < 3)
        return 2;
    long cycles = atol(arguments[2]);
    int instances = count > 3 ? atoi(arguments[3]) : 1;
    double middle = 0;
    for (long number = 0; number < cycles; number++) {
        if (number == cycles / 2)
            middle = heap();
        void *handle = dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL);
        if (handle == NULL)
            fail(dlerror());
        cycle(handle, instances);
        dlclose(handle);
    }
    printf("%.1f per cycle\n", (heap() - middle) / (double)(cycles - cycles / 2));
    return 0;
}

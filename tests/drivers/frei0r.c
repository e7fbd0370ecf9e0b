/* A frei0r plugin for the tests of its driver: a filter with a number and a text as its parameters.
 *
 * FIXTURE chooses what it does wrong: leak-STEP leaks 40 bytes in each call of the step, fail-init, fail-get_plugin_info,
 * fail-get_param_info and fail-construct fail, and crash-STEP writes to address 0. STEP is init, get_plugin_info, get_param_info, construct,
 * get_param_value, set_param_value, update, destruct or deinit. Of the calls for each parameter, the first one has the fault. The plugin
 * declares what it uses of frei0r.h 1.2 itself.
 *
 * cc -shared -fPIC -g -O1 -Wall -Wextra -o frei0r.so frei0r.c
 */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "fixture.h"

struct plugin_info {
    const char *name, *author;
    int plugin_type, color_model, frei0r_version, major_version, minor_version, num_params;
    const char *explanation;
};

struct param_info {
    const char *name;
    int type;
    const char *explanation;
};

struct instance {
    unsigned width, height;
    double amount;
    char *text;
};

STEP(init)
STEP(get_plugin_info)
STEP(get_param_info)
STEP(construct)
STEP(get_param_value)
STEP(set_param_value)
STEP(update)
STEP(destruct)
STEP(deinit)

int f0r_init(void)
{
    wrong_init();
    return wanted("fail-init") ? -1 : 1;
}

void f0r_deinit(void)
{
    wrong_deinit();
}

void f0r_get_plugin_info(struct plugin_info *info)
{
    wrong_get_plugin_info();
    *info = (struct plugin_info){
        .name = "Fixture",
        .author = "dlsoak",
        .plugin_type = 0,
        .color_model = 2,
        .frei0r_version = wanted("fail-get_plugin_info") ? 7 : 1,
        .num_params = 2,
    };
}

void f0r_get_param_info(struct param_info *info, int index)
{
    if (index == 0)
        wrong_get_param_info();
    info->name = index == 0 ? "Amount" : "Text";
    info->type = index == 0 ? 1 : wanted("fail-get_param_info") ? 9 : 4;
    info->explanation = NULL;
}

static char *copy(const char *text)
{
    char *copied = malloc(24);
    if (copied != NULL)
        strncpy(copied, text, 23)[23] = 0;
    return copied;
}

void *f0r_construct(unsigned width, unsigned height)
{
    wrong_construct();
    if (wanted("fail-construct"))
        return NULL;
    struct instance *instance = calloc(1, sizeof *instance);
    if (instance != NULL)
        *instance = (struct instance){width, height, 0.5, copy("text")};
    return instance;
}

void f0r_destruct(void *handle)
{
    wrong_destruct();
    free(((struct instance *)handle)->text);
    free(handle);
}

void f0r_get_param_value(void *handle, void *value, int index)
{
    struct instance *instance = handle;
    if (index == 0) {
        wrong_get_param_value();
        *(double *)value = instance->amount;
    } else {
        *(char **)value = instance->text;
    }
}

/* The text is freed before the new one is copied, as many plugins do. */
void f0r_set_param_value(void *handle, void *value, int index)
{
    struct instance *instance = handle;
    if (index == 0) {
        wrong_set_param_value();
        instance->amount = *(double *)value;
    } else {
        free(instance->text);
        instance->text = copy(*(char **)value);
    }
}

void f0r_update(void *handle, double time, const uint32_t *from, uint32_t *to)
{
    struct instance *instance = handle;
    (void)time;
    wrong_update();
    for (unsigned pixel = 0; pixel < instance->width * instance->height; pixel++)
        to[pixel] = from[pixel] ^ (uint32_t)(instance->amount * 255);
}

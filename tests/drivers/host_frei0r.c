/* A bare host of frei0r plugins, the second witness of the driver `frei0r`: host_frei0r PLUGIN CYCLES [INSTANCES]. It makes the calls that the
 * driver makes, and declares what it uses of frei0r.h 1.2. */
#include "host.h"

enum { WIDTH = 64, HEIGHT = 48, PIXELS = WIDTH * HEIGHT, MOST = 64 };
enum { INIT = 1, PLUGIN_INFO, PARAM_INFO, CONSTRUCT };
enum { FILTER, SOURCE, MIXER2, MIXER3, STRING };

struct plugin_info {
    const char *name, *author;
    int type, color_model, frei0r_version, major_version, minor_version, params;
    const char *explanation;
};

struct param_info { const char *name; int type; const char *explanation; };

static int instances = 1;

static int cycle(void *plugin)
{
    int (*init)(void) = dlsym(plugin, "f0r_init");
    void (*deinit)(void) = dlsym(plugin, "f0r_deinit");
    void (*describe)(struct plugin_info *) = dlsym(plugin, "f0r_get_plugin_info");
    void (*describe_param)(struct param_info *, int) = dlsym(plugin, "f0r_get_param_info");
    void *(*construct)(unsigned, unsigned) = dlsym(plugin, "f0r_construct");
    void (*destruct)(void *) = dlsym(plugin, "f0r_destruct");
    void (*get)(void *, void *, int) = dlsym(plugin, "f0r_get_param_value");
    void (*set)(void *, void *, int) = dlsym(plugin, "f0r_set_param_value");
    void (*update)(void *, double, const uint32_t *, uint32_t *) = dlsym(plugin, "f0r_update");
    void (*update2)(void *, double, const uint32_t *, const uint32_t *, const uint32_t *, uint32_t *) = dlsym(plugin, "f0r_update2");
    uint32_t(*frames)[PIXELS] = calloc(4, sizeof *frames);
    void *made[MOST];
    if (init == NULL || init() < 0)
        return INIT;
    struct plugin_info info = {.type = -1, .color_model = -1, .frei0r_version = -1};
    describe(&info);
    if (info.type < FILTER || info.type > MIXER3 || info.color_model < 0 || info.color_model > 2 || info.frei0r_version != 1 || info.params < 0)
        return PLUGIN_INFO;
    int *types = calloc((size_t)info.params + 1, sizeof *types);
    for (int index = 0; index < info.params; index++) {
        struct param_info param = {.type = -1};
        describe_param(&param, index);
        types[index] = param.type;
        if (param.type < 0 || param.type > STRING)
            return PARAM_INFO;
    }
    for (int number = 0; number < 3; number++)
        for (int pixel = 0; pixel < PIXELS; pixel++) {
            unsigned x = (unsigned)pixel % WIDTH, y = (unsigned)pixel / WIDTH;
            frames[number][pixel] = 0xff000000 | x * 4 | y * 5 << 8 | (x + y) << 16;
        }
    for (int i = 0; i < instances; i++)
        if ((made[i] = construct(WIDTH, HEIGHT)) == NULL)
            return CONSTRUCT;
    for (int i = 0; i < instances; i++)
        for (int index = 0; index < info.params; index++) {
            union {
                double numbers[2];
                char *text;
            } value = {{0, 0}};
            char *copy = NULL;
            get(made[i], &value, index);
            if (types[index] == STRING)
                value.text = copy = strdup(value.text ? value.text : "");
            set(made[i], &value, index);
            free(copy);
        }
    for (int i = 0; i < instances; i++) {
        int inputs = info.type == FILTER ? 1 : info.type == SOURCE ? 0 : info.type;
        uint32_t *first = inputs > 0 ? frames[0] : NULL, *second = inputs > 1 ? frames[1] : NULL, *third = inputs > 2 ? frames[2] : NULL;
        if (info.type < MIXER2 && update != NULL)
            update(made[i], 0, first, frames[3]);
        else
            update2(made[i], 0, first, second, third, frames[3]);
    }
    for (int i = 0; i < instances; i++)
        destruct(made[i]);
    free(types);
    free(frames);
    deinit();
    return 0;
}

int main(int count, char **arguments)
{
    if (count > 3)
        instances = atoi(arguments[3]);
    return instances < 1 || instances > MOST ? 3 : soak(count, arguments, cycle);
}

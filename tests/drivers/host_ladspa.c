/* A bare host of LADSPA plugins, the second witness of the driver `ladspa`: host_ladspa PLUGIN CYCLES [INSTANCES]. It makes the calls that the
 * driver makes, and declares what it uses of ladspa.h 1.1. It holds libm, as LADSPA's hosts do: cc host_ladspa.c -lm */
#include "host.h"

#include <math.h>

enum { RATE = 48000, FRAMES = 64, MOST = 64 };
enum { INSTANTIATE = 2, CONNECT_PORT = 3, RUN = 5, CLEANUP = 7 };

struct hint { int is; float lower, upper; };

struct descriptor {
    unsigned long id;
    const char *label;
    int properties;
    const char *name, *maker, *copyright;
    unsigned long ports;
    const int *port_descriptors;
    const char *const *port_names;
    const struct hint *port_hints;
    void *data;
    void *(*instantiate)(const struct descriptor *, unsigned long rate);
    void (*connect_port)(void *, unsigned long port, float *to);
    void (*activate)(void *);
    void (*run)(void *, unsigned long frames);
    void (*run_adding)(void *, unsigned long frames);
    void (*set_run_adding_gain)(void *, float gain);
    void (*deactivate)(void *);
    void (*cleanup)(void *);
};

static int instances = 1;

static float between(const struct hint *hint, float lower, float upper, float part)
{
    if (hint->is & 0x10 && lower > 0 && upper > lower)
        return expf(logf(lower) * (1 - part) + logf(upper) * part);
    return lower * (1 - part) + upper * part;
}

static float control(const struct hint *hint)
{
    float scale = hint->is & 8 ? RATE : 1;
    float lower = hint->lower * scale, upper = hint->upper * scale, value = 0;
    switch (hint->is & 0x3c0) {
    case 0x40: value = lower; break;
    case 0x80: value = between(hint, lower, upper, 0.25f); break;
    case 0xc0: value = between(hint, lower, upper, 0.5f); break;
    case 0x100: value = between(hint, lower, upper, 0.75f); break;
    case 0x140: value = upper; break;
    case 0x240: value = 1; break;
    case 0x280: value = 100; break;
    case 0x2c0: value = 440; break;
    }
    if (hint->is & 1 && value < lower)
        value = lower;
    if (hint->is & 2 && value > upper)
        value = upper;
    return hint->is & 0x20 ? roundf(value) : value;
}

static int live(const struct descriptor *of)
{
    void *handles[MOST];
    float *room = calloc(of->ports * FRAMES * (size_t)instances + 1, sizeof *room);
    if (of->instantiate == NULL || of->connect_port == NULL || of->run == NULL || of->cleanup == NULL)
        return of->instantiate == NULL ? INSTANTIATE : of->connect_port == NULL ? CONNECT_PORT : of->run == NULL ? RUN : CLEANUP;
    for (int i = 0; i < instances; i++)
        if ((handles[i] = of->instantiate(of, RATE)) == NULL)
            return INSTANTIATE;
    for (int i = 0; i < instances; i++)
        for (unsigned long port = 0; port < of->ports; port++) {
            float *at = room + (i * of->ports + port) * FRAMES;
            if (!(of->port_descriptors[port] & 8))
                *at = of->port_hints ? control(&of->port_hints[port]) : 0;
            else if (of->port_descriptors[port] & 1)
                for (int frame = 0; frame < FRAMES; frame++)
                    at[frame] = frame % 16 / 16.0f - 0.5f;
            of->connect_port(handles[i], port, at);
        }
    for (int i = 0; i < instances && of->activate; i++)
        of->activate(handles[i]);
    for (int i = 0; i < instances; i++)
        of->run(handles[i], FRAMES);
    for (int i = 0; i < instances && of->deactivate; i++)
        of->deactivate(handles[i]);
    for (int i = 0; i < instances; i++)
        of->cleanup(handles[i]);
    free(room);
    return 0;
}

static int cycle(void *plugin)
{
    const struct descriptor *(*describe)(unsigned long) = dlsym(plugin, "ladspa_descriptor"), *of;
    if (describe == NULL)
        return 1;
    for (unsigned long index = 0; (of = describe(index)) != NULL; index++) {
        int failed = live(of);
        if (failed)
            return failed;
    }
    return 0;
}

int main(int count, char **arguments)
{
    if (count > 3)
        instances = atoi(arguments[3]);
    return instances < 1 || instances > MOST ? 3 : soak(count, arguments, cycle);
}

/* A LADSPA plugin for the tests of its driver: one descriptor with an audio input, an audio output and a control.
 *
 * FIXTURE chooses what it does wrong: leak-STEP leaks 40 bytes in each call of the step, fail-instantiate fails, and crash-STEP writes to
 * address 0. STEP is describe, instantiate, connect_port, activate, run, deactivate or cleanup. Of the calls for each index and each port,
 * the first one has the fault. The plugin declares what it uses of ladspa.h 1.1 itself.
 *
 * cc -shared -fPIC -g -O1 -Wall -Wextra -o ladspa.so ladspa.c
 */

#include <stdlib.h>
#include <string.h>

#include "fixture.h"

typedef void *handle;

struct hint {
    int is;
    float lower, upper;
};

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
    handle (*instantiate)(const struct descriptor *, unsigned long rate);
    void (*connect_port)(handle, unsigned long port, float *to);
    void (*activate)(handle);
    void (*run)(handle, unsigned long frames);
    void (*run_adding)(handle, unsigned long frames);
    void (*set_run_adding_gain)(handle, float gain);
    void (*deactivate)(handle);
    void (*cleanup)(handle);
};

struct instance {
    float *ports[3];
    float last;
};

STEP(describe)
STEP(instantiate)
STEP(connect_port)
STEP(activate)
STEP(run)
STEP(deactivate)
STEP(cleanup)

static handle instantiate(const struct descriptor *descriptor, unsigned long rate)
{
    (void)descriptor;
    (void)rate;
    wrong_instantiate();
    return wanted("fail-instantiate") ? NULL : calloc(1, sizeof(struct instance));
}

static void connect_port(handle handle, unsigned long port, float *to)
{
    if (port == 0)
        wrong_connect_port();
    ((struct instance *)handle)->ports[port] = to;
}

static void activate(handle handle)
{
    (void)handle;
    wrong_activate();
}

static void run(handle handle, unsigned long frames)
{
    struct instance *instance = handle;
    wrong_run();
    for (unsigned long frame = 0; frame < frames; frame++)
        instance->last = instance->ports[1][frame] = instance->ports[0][frame] * *instance->ports[2] + instance->last / 2;
}

static void deactivate(handle handle)
{
    (void)handle;
    wrong_deactivate();
}

static void cleanup(handle handle)
{
    wrong_cleanup();
    free(handle);
}

/* Audio is 8 and control 4, input 1 and output 2. The control is from 0 to 2, with 1 as its default. */
static const int port_descriptors[] = {8 | 1, 8 | 2, 4 | 1};
static const char *const port_names[] = {"In", "Out", "Gain"};
static const struct hint port_hints[] = {{0, 0, 0}, {0, 0, 0}, {1 | 2 | 0x240, 0, 2}};

static const struct descriptor descriptor = {
    .id = 4711,
    .label = "fixture",
    .name = "Fixture",
    .maker = "dlsoak",
    .copyright = "None",
    .ports = 3,
    .port_descriptors = port_descriptors,
    .port_names = port_names,
    .port_hints = port_hints,
    .instantiate = instantiate,
    .connect_port = connect_port,
    .activate = activate,
    .run = run,
    .deactivate = deactivate,
    .cleanup = cleanup,
};

const struct descriptor *ladspa_descriptor(unsigned long index)
{
    if (index != 0)
        return NULL;
    wrong_describe();
    return &descriptor;
}

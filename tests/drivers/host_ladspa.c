/* A bare LADSPA host, the second witness of the driver `ladspa`: host_ladspa PLUGIN CYCLES [INSTANCES]
 *
 * Each cycle opens the plugin, makes the calls that the driver makes, and closes it. The host prints how the heap grows per cycle between
 * the middle and the end. It includes the real header, of Debian's ladspa-sdk.
 *
 * cc -O1 -g -o host_ladspa host_ladspa.c -lm
 */

#include <dlfcn.h>
#include <ladspa.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "host.h"

enum { RATE = 48000, FRAMES = 64, MOST = 64 };

static float between(const LADSPA_PortRangeHint *hint, float lower, float upper, float part)
{
    if (LADSPA_IS_HINT_LOGARITHMIC(hint->HintDescriptor) && lower > 0 && upper > lower)
        return expf(logf(lower) * (1 - part) + logf(upper) * part);
    return lower * (1 - part) + upper * part;
}

static float control(const LADSPA_PortRangeHint *hint)
{
    int is = hint->HintDescriptor;
    float scale = LADSPA_IS_HINT_SAMPLE_RATE(is) ? RATE : 1;
    float lower = hint->LowerBound * scale, upper = hint->UpperBound * scale, value = 0;
    switch (is & LADSPA_HINT_DEFAULT_MASK) {
    case LADSPA_HINT_DEFAULT_MINIMUM: value = lower; break;
    case LADSPA_HINT_DEFAULT_LOW: value = between(hint, lower, upper, 0.25f); break;
    case LADSPA_HINT_DEFAULT_MIDDLE: value = between(hint, lower, upper, 0.5f); break;
    case LADSPA_HINT_DEFAULT_HIGH: value = between(hint, lower, upper, 0.75f); break;
    case LADSPA_HINT_DEFAULT_MAXIMUM: value = upper; break;
    case LADSPA_HINT_DEFAULT_1: value = 1; break;
    case LADSPA_HINT_DEFAULT_100: value = 100; break;
    case LADSPA_HINT_DEFAULT_440: value = 440; break;
    }
    if (LADSPA_IS_HINT_BOUNDED_BELOW(is) && value < lower)
        value = lower;
    if (LADSPA_IS_HINT_BOUNDED_ABOVE(is) && value > upper)
        value = upper;
    return LADSPA_IS_HINT_INTEGER(is) ? roundf(value) : value;
}

static void live(const LADSPA_Descriptor *descriptor, int instances)
{
    LADSPA_Handle handles[MOST];
    float *room = calloc(descriptor->PortCount * FRAMES * (size_t)instances + 1, sizeof *room);
    for (int i = 0; i < instances; i++)
        if ((handles[i] = descriptor->instantiate(descriptor, RATE)) == NULL) {
            fprintf(stderr, "instantiate of %s failed\n", descriptor->Label);
            exit(1);
        }
    for (int i = 0; i < instances; i++)
        for (unsigned long port = 0; port < descriptor->PortCount; port++) {
            float *at = room + (i * descriptor->PortCount + port) * FRAMES;
            if (LADSPA_IS_PORT_CONTROL(descriptor->PortDescriptors[port]))
                *at = descriptor->PortRangeHints ? control(&descriptor->PortRangeHints[port]) : 0;
            else if (LADSPA_IS_PORT_INPUT(descriptor->PortDescriptors[port]))
                for (int frame = 0; frame < FRAMES; frame++)
                    at[frame] = frame % 16 / 16.0f - 0.5f;
            descriptor->connect_port(handles[i], port, at);
        }
    for (int i = 0; i < instances && descriptor->activate; i++)
        descriptor->activate(handles[i]);
    for (int i = 0; i < instances; i++)
        descriptor->run(handles[i], FRAMES);
    for (int i = 0; i < instances && descriptor->deactivate; i++)
        descriptor->deactivate(handles[i]);
    for (int i = 0; i < instances; i++)
        descriptor->cleanup(handles[i]);
    free(room);
}

int main(int count, char **arguments)
{
    if (count < 3)
        return 2;
    long cycles = atol(arguments[2]);
    int instances = count > 3 ? atoi(arguments[3]) : 1;
    double middle = 0;
    for (long cycle = 0; cycle < cycles; cycle++) {
        if (cycle == cycles / 2)
            middle = heap();
        void *handle = dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL);
        LADSPA_Descriptor_Function describe = handle ? (LADSPA_Descriptor_Function)dlsym(handle, "ladspa_descriptor") : NULL;
        if (describe == NULL) {
            fprintf(stderr, "%s\n", dlerror());
            return 1;
        }
        const LADSPA_Descriptor *descriptor;
        for (unsigned long index = 0; (descriptor = describe(index)) != NULL; index++)
            live(descriptor, instances);
        dlclose(handle);
    }
    printf("%.1f per cycle\n", (heap() - middle) / (double)(cycles - cycles / 2));
    return 0;
}

/* An LV2 plugin for the tests of its driver: an audio input, an audio output, a control, an input and an output of atoms, and a worker.
 *
 * FIXTURE chooses what it does wrong: leak-STEP leaks 40 bytes in each call of the step, fail-instantiate fails, and crash-STEP writes to
 * address 0. STEP is describe, instantiate, extension_data, connect_port, activate, run, work, work_response, end_run, deactivate or cleanup.
 * Of the calls for each index and each port, the first one has the fault. `instantiate` fails if the host gives no urid:map,
 * options:options or work:schedule. The plugin declares what it uses of LV2 1.18 itself. With -DLIBRARY it gives its descriptor through
 * lv2_lib_descriptor, and the steps lib_descriptor, which can fail, and lib_cleanup are there.
 *
 * cc -shared -fPIC -g -O1 -Wall -Wextra -o lv2.so lv2.c
 *
 * The driver's detail is, with \t for a tab and \n for the end of a line: /tmp/\nurn:dlsoak:fixture\taActT\t3f000000
 */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "fixture.h"

typedef void *handle;

struct feature {
    const char *uri;
    void *data;
};

struct descriptor {
    const char *uri;
    handle (*instantiate)(const struct descriptor *, double rate, const char *bundle, const struct feature *const *features);
    void (*connect_port)(handle, uint32_t port, void *to);
    void (*activate)(handle);
    void (*run)(handle, uint32_t frames);
    void (*deactivate)(handle);
    void (*cleanup)(handle);
    const void *(*extension_data)(const char *uri);
};

struct map {
    void *handle;
    uint32_t (*map)(void *, const char *uri);
};

struct schedule {
    void *handle;
    int (*schedule)(void *, uint32_t size, const void *data);
};

typedef int respond(void *handle, uint32_t size, const void *data);

struct worker {
    int (*work)(handle, respond *, void *to, uint32_t size, const void *data);
    int (*work_response)(handle, uint32_t size, const void *data);
    int (*end_run)(handle);
};

struct instance {
    void *ports[5];
    const struct schedule *schedule;
    uint32_t sequence;
    int answer;
};

STEP(describe)
STEP(instantiate)
STEP(extension_data)
STEP(connect_port)
STEP(activate)
STEP(run)
STEP(work)
STEP(work_response)
STEP(end_run)
STEP(deactivate)
STEP(cleanup)
#ifdef LIBRARY
STEP(lib_descriptor)
STEP(lib_cleanup)
#endif

static void *feature(const struct feature *const *features, const char *uri)
{
    for (; *features != NULL; features++)
        if (strcmp((*features)->uri, uri) == 0)
            return (*features)->data;
    return NULL;
}

static handle instantiate(const struct descriptor *descriptor, double rate, const char *bundle, const struct feature *const *features)
{
    (void)descriptor;
    wrong_instantiate();
    const struct map *map = feature(features, "http://lv2plug.in/ns/ext/urid#map");
    const struct schedule *schedule = feature(features, "http://lv2plug.in/ns/ext/worker#schedule");
    void *options = feature(features, "http://lv2plug.in/ns/ext/options#options");
    if (wanted("fail-instantiate") || rate != 48000 || bundle[0] != '/' || bundle[strlen(bundle) - 1] != '/' || !map || !schedule || !options)
        return NULL;
    struct instance *instance = calloc(1, sizeof *instance);
    if (instance != NULL) {
        instance->schedule = schedule;
        instance->sequence = map->map(map->handle, "http://lv2plug.in/ns/ext/atom#Sequence");
    }
    return instance;
}

static void connect_port(handle handle, uint32_t port, void *to)
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

/* It schedules work, gives the input times the control, and an empty sequence, if the input is one and there is room. */
static void run(handle handle, uint32_t frames)
{
    struct instance *instance = handle;
    const float *in = instance->ports[0], *control = instance->ports[2];
    const uint32_t *events = instance->ports[3];
    uint32_t *to = instance->ports[4];
    wrong_run();
    int question = 41;
    if (instance->schedule->schedule(instance->schedule->handle, sizeof question, &question) != 0)
        abort();
    for (uint32_t frame = 0; frame < frames; frame++)
        ((float *)instance->ports[1])[frame] = in[frame] * *control;
    if (*control != 0.5f || events[0] != 8 || events[1] != instance->sequence || to[0] < 8)
        abort();
    memcpy(to, events, 16);
}

static int work(handle handle, respond *respond, void *to, uint32_t size, const void *data)
{
    (void)handle;
    wrong_work();
    int answer;
    if (size != sizeof answer)
        abort();
    memcpy(&answer, data, sizeof answer);
    answer++;
    return respond(to, sizeof answer, &answer);
}

static int work_response(handle handle, uint32_t size, const void *data)
{
    wrong_work_response();
    memcpy(&((struct instance *)handle)->answer, data, size);
    return 0;
}

static int end_run(handle handle)
{
    wrong_end_run();
    if (((struct instance *)handle)->answer != 42)
        abort();
    return 0;
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

static const void *extension_data(const char *uri)
{
    static const struct worker worker = {work, work_response, end_run};
    wrong_extension_data();
    return strcmp(uri, "http://lv2plug.in/ns/ext/worker#interface") == 0 ? &worker : NULL;
}

static const struct descriptor descriptor = {
    "urn:dlsoak:fixture", instantiate, connect_port, activate, run, deactivate, cleanup, extension_data,
};

static const struct descriptor *describe(uint32_t index)
{
    if (index != 0)
        return NULL;
    wrong_describe();
    return &descriptor;
}

#ifdef LIBRARY

struct library {
    struct library *handle;
    uint32_t size;
    void (*cleanup)(struct library *);
    const struct descriptor *(*get_plugin)(struct library *, uint32_t index);
};

static void lib_cleanup(struct library *library)
{
    wrong_lib_cleanup();
    free(library);
}

static const struct descriptor *get_plugin(struct library *library, uint32_t index)
{
    return library->handle == library ? describe(index) : NULL;
}

const struct library *lv2_lib_descriptor(const char *bundle, const struct feature *const *features)
{
    struct library *library = malloc(sizeof *library);
    if (wrong_lib_descriptor() || bundle[strlen(bundle) - 1] != '/' || feature(features, "http://lv2plug.in/ns/ext/urid#map") == NULL) {
        free(library);
        return NULL;
    }
    *library = (struct library){library, sizeof *library, lib_cleanup, get_plugin};
    return library;
}

#else

const struct descriptor *lv2_descriptor(uint32_t index)
{
    return describe(index);
}

#endif

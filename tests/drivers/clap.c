/* A CLAP plugin with an audio input of two channels, an audio output of one, and a note input. FIXTURE says what it does wrong: leak-STEP,
 * fail-STEP or crash-STEP, where STEP is init, get_factory, describe, create, plugin_init, get_extension, ports, activate, start_processing,
 * process, stop_processing, on_main_thread, deactivate, destroy or deinit. get_factory, get_extension and what returns nothing can't fail. Of
 * the calls for each port, the first one has the fault. It fails as well where the host is wrong. */
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "clap.h"
#include "fixture.h"

STEP(init)
STEP(get_factory)
STEP(describe)
STEP(create)
STEP(plugin_init)
STEP(get_extension)
STEP(ports)
STEP(activate)
STEP(start_processing)
STEP(process)
STEP(stop_processing)
STEP(on_main_thread)
STEP(deactivate)
STEP(destroy)
STEP(deinit)

struct instance {
    struct plugin plugin;
    const struct host *host;
    const struct thread_check *check;
    /* Whether the host called on the right threads. */
    bool is_right;
};

static struct instance *instance(const struct plugin *plugin)
{
    return plugin->data;
}

/* Whether this is the main thread, or else the audio thread. */
static bool is_on(const struct plugin *plugin, bool main)
{
    const struct thread_check *check = instance(plugin)->check;
    const struct host *host = instance(plugin)->host;
    return check->is_main_thread(host) == main && check->is_audio_thread(host) == !main;
}

static void want_call(const struct plugin *plugin)
{
    instance(plugin)->host->request_callback(instance(plugin)->host);
}

/* A thread of the plugin's own is neither the main thread nor the audio thread. */
static void *elsewhere(void *plugin)
{
    const struct thread_check *check = instance(plugin)->check;
    const struct host *host = instance(plugin)->host;
    want_call(plugin);
    return check->is_main_thread(host) || check->is_audio_thread(host) ? plugin : NULL;
}

static bool plugin_init(const struct plugin *plugin)
{
    const struct host *host = instance(plugin)->host;
    pthread_t thread;
    void *wrong = NULL;
    if (wrong_plugin_init() || host->get_extension(host, "clap.no-such-extension") != NULL)
        return false;
    instance(plugin)->check = host->get_extension(host, "clap.thread-check");
    if (pthread_create(&thread, NULL, elsewhere, (void *)plugin) != 0)
        return false;
    pthread_join(thread, &wrong);
    return wrong == NULL && is_on(plugin, true);
}

static void on_main_thread(const struct plugin *plugin)
{
    wrong_on_main_thread();
    instance(plugin)->is_right &= is_on(plugin, true);
}

static bool activate(const struct plugin *plugin, double rate, uint32_t least, uint32_t most)
{
    bool is_right = is_on(plugin, true) && rate > 0 && least > 0 && most >= least;
    return !wrong_activate() && is_right;
}

static bool start_processing(const struct plugin *plugin)
{
    return !wrong_start_processing() && is_on(plugin, false);
}

static int32_t process(const struct plugin *plugin, const struct process *process)
{
    if (wrong_process() || !is_on(plugin, false) || process->input_count != 1 || process->output_count != 1)
        return 0;
    const struct buffer *in = &process->inputs[0], *out = &process->outputs[0];
    if (in->channels != 2 || out->channels != 1 || process->in->size(process->in) > 1000)
        return 0;
    for (uint32_t frame = 0; frame < process->frames; frame++)
        out->data32[0][frame] = in->data32[0][frame] + in->data32[1][frame];
    want_call(plugin);
    return 1;
}

static void stop_processing(const struct plugin *plugin)
{
    wrong_stop_processing();
    instance(plugin)->is_right &= is_on(plugin, false);
}

static void deactivate(const struct plugin *plugin)
{
    wrong_deactivate();
    instance(plugin)->is_right &= is_on(plugin, true);
}

/* The last call of an instance: where the host was wrong, it ends the process. */
static void destroy(const struct plugin *plugin)
{
    wrong_destroy();
    if (!instance(plugin)->is_right)
        abort();
    free(instance(plugin));
}

static void reset(const struct plugin *plugin)
{
    (void)plugin;
}

static uint32_t audio_count(const struct plugin *plugin, bool is_input)
{
    (void)plugin, (void)is_input;
    return 1;
}

static bool audio_get(const struct plugin *plugin, uint32_t index, bool is_input, struct audio_port *port)
{
    if (index != 0 || (is_input && wrong_ports()) || !is_on(plugin, true))
        return false;
    *port = (struct audio_port){.name = "Audio", .flags = 1, .channels = is_input ? 2 : 1, .in_place_pair = UINT32_MAX};
    return true;
}

static uint32_t note_count(const struct plugin *plugin, bool is_input)
{
    (void)plugin;
    return is_input;
}

static bool note_get(const struct plugin *plugin, uint32_t index, bool is_input, struct note_port *port)
{
    (void)plugin;
    *port = (struct note_port){.supported = 1, .preferred = 1, .name = "Notes"};
    return index == 0 && is_input;
}

static const struct {
    uint32_t (*count)(const struct plugin *, bool);
    bool (*get)(const struct plugin *, uint32_t, bool, struct audio_port *);
} audio_ports = {audio_count, audio_get};

static const struct {
    uint32_t (*count)(const struct plugin *, bool);
    bool (*get)(const struct plugin *, uint32_t, bool, struct note_port *);
} note_ports = {note_count, note_get};

static const void *get_extension(const struct plugin *plugin, const char *id)
{
    (void)plugin;
    if (strcmp(id, "clap.note-ports") == 0)
        return &note_ports;
    if (strcmp(id, "clap.audio-ports") != 0)
        return NULL;
    wrong_get_extension();
    return &audio_ports;
}

static const char *const features[] = {"audio-effect", NULL};
static const struct descriptor descriptor = {
    {1, 2, 2}, "dlsoak.fixture", "Fixture", "dlsoak", "", "", "", "1.0", "", features,
};

static uint32_t plugin_count(const struct factory *factory)
{
    (void)factory;
    return 1;
}

static const struct descriptor *describe(const struct factory *factory, uint32_t index)
{
    (void)factory;
    return wrong_describe() || index != 0 ? NULL : &descriptor;
}

static const struct plugin *create(const struct factory *factory, const struct host *host, const char *id)
{
    (void)factory;
    if (wrong_create() || strcmp(id, descriptor.id) != 0 || host->version[0] != 1)
        return NULL;
    struct instance *made = calloc(1, sizeof *made);
    if (made == NULL)
        return NULL;
    made->plugin = (struct plugin){
        &descriptor, made, plugin_init, destroy, activate, deactivate, start_processing, stop_processing, reset, process,
        get_extension, on_main_thread,
    };
    made->host = host;
    made->is_right = true;
    return &made->plugin;
}

static const struct factory factory = {plugin_count, describe, create};

/* The path is that of a file. */
static bool init(const char *path)
{
    return !wrong_init() && path != NULL && path[0] == '/';
}

static void deinit(void)
{
    wrong_deinit();
}

static const void *get_factory(const char *id)
{
    wrong_get_factory();
    return strcmp(id, "clap.plugin-factory") == 0 ? &factory : NULL;
}

const struct entry clap_entry = {{1, 2, 2}, init, deinit, get_factory};

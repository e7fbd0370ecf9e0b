/* A bare host of CLAP plugins, the second witness of the driver `clap`: host_clap PLUGIN CYCLES. It makes the calls that the driver makes, for one
 * instance of each descriptor. It holds libm, as CLAP's hosts do: cc host_clap.c -Wl,--no-as-needed -lm */
#include "host.h"

#include "clap.h"

enum { FRAMES = 64, MISSING = 0xffff };

static const char *path;
static pthread_t thread;
static bool is_audio, wants_call;

static bool is_main_thread(const struct host *host)
{
    (void)host;
    return pthread_equal(thread, pthread_self()) && !is_audio;
}

static bool is_audio_thread(const struct host *host)
{
    (void)host;
    return pthread_equal(thread, pthread_self()) && is_audio;
}

static void log_nothing(const struct host *host, int32_t severity, const char *text)
{
    (void)host, (void)severity, (void)text;
}

static void nothing(const struct host *host)
{
    (void)host;
}

static const void *extension(const struct host *host, const char *id)
{
    static const struct thread_check check = {is_main_thread, is_audio_thread};
    static const struct { void (*changed)(const struct host *); } latency = {nothing};
    static const struct { void (*log)(const struct host *, int32_t, const char *); } log = {log_nothing};
    (void)host;
    if (strcmp(id, "clap.thread-check") == 0)
        return &check;
    if (strcmp(id, "clap.latency") == 0)
        return &latency;
    return strcmp(id, "clap.log") == 0 ? &log : NULL;
}

static void callback(const struct host *host)
{
    (void)host;
    __atomic_store_n(&wants_call, true, __ATOMIC_RELEASE);
}

static void attend(const struct plugin *plugin)
{
    if (__atomic_exchange_n(&wants_call, false, __ATOMIC_ACQUIRE))
        plugin->on_main_thread(plugin);
}

static uint32_t no_events(const struct in_events *list)
{
    (void)list;
    return 0;
}

static const void *no_event(const struct in_events *list, uint32_t index)
{
    (void)list, (void)index;
    return NULL;
}

static bool take(const struct out_events *list, const void *event)
{
    (void)list, (void)event;
    return true;
}

/* Buffers for all audio ports, inputs first. */
static struct buffer *buffers(const struct plugin *plugin, uint32_t counts[2])
{
    const struct ports *ports = plugin->get_extension(plugin, "clap.audio-ports");
    counts[0] = ports != NULL ? ports->count(plugin, true) : 0;
    counts[1] = ports != NULL ? ports->count(plugin, false) : 0;
    struct buffer *all = calloc(counts[0] + counts[1] + 1, sizeof *all);
    for (uint32_t port = 0; port < counts[0] + counts[1]; port++) {
        bool is_input = port < counts[0];
        struct audio_port info = {0};
        if (!ports->get(plugin, is_input ? port : port - counts[0], is_input, &info)) {
            counts[0] = MISSING;
            return all;
        }
        all[port].channels = info.channels;
        all[port].data32 = calloc(info.channels + 1, sizeof(float *));
        for (uint32_t channel = 0; channel < info.channels; channel++) {
            float *samples = all[port].data32[channel] = calloc(FRAMES, sizeof *samples);
            for (int frame = 0; frame < FRAMES && is_input; frame++)
                samples[frame] = frame % 16 / 16.0f - 0.5f;
        }
    }
    const struct ports *notes = plugin->get_extension(plugin, "clap.note-ports");
    for (int is_input = 0; is_input < 2 && notes != NULL; is_input++)
        for (uint32_t index = 0, count = notes->count(plugin, is_input); index < count; index++) {
            struct note_port info = {0};
            if (!notes->get(plugin, index, is_input, &info))
                counts[0] = MISSING;
        }
    return all;
}

static int live(const struct factory *factory, const char *id)
{
    const struct host host = {
        {1, 2, 2}, NULL, "host", "dlsoak", "", "1.0", extension, nothing, nothing, callback,
    };
    const struct in_events in = {NULL, no_events, no_event};
    const struct out_events out = {NULL, take};
    const struct plugin *plugin = factory->create(factory, &host, id);
    if (plugin == NULL)
        return 4;
    if (!plugin->init(plugin))
        return 5;
    attend(plugin);
    uint32_t counts[2];
    struct buffer *all = buffers(plugin, counts);
    if (counts[0] == MISSING)
        return 7;
    if (!plugin->activate(plugin, 48000, 1, FRAMES))
        return 8;
    attend(plugin);
    is_audio = true;
    bool is_started = plugin->start_processing(plugin);
    is_audio = false;
    if (!is_started)
        return 9;
    attend(plugin);
    const struct process process = {
        .frames = FRAMES,
        .inputs = counts[0] > 0 ? all : NULL,
        .outputs = counts[1] > 0 ? all + counts[0] : NULL,
        .input_count = counts[0],
        .output_count = counts[1],
        .in = &in,
        .out = &out,
    };
    is_audio = true;
    int32_t status = plugin->process(plugin, &process);
    is_audio = false;
    if (status == 0)
        return 10;
    attend(plugin);
    is_audio = true;
    plugin->stop_processing(plugin);
    is_audio = false;
    attend(plugin);
    plugin->deactivate(plugin);
    attend(plugin);
    plugin->destroy(plugin);
    for (uint32_t port = 0; port < counts[0] + counts[1]; port++) {
        for (uint32_t channel = 0; channel < all[port].channels; channel++)
            free(all[port].data32[channel]);
        free(all[port].data32);
    }
    free(all);
    return 0;
}

static int cycle(void *handle)
{
    const struct entry *entry = dlsym(handle, "clap_entry");
    if (entry == NULL || !entry->init(path))
        return 1;
    const struct factory *factory = entry->get_factory("clap.plugin-factory");
    uint32_t count = factory != NULL ? factory->count(factory) : 0;
    int failed = 0;
    for (uint32_t index = 0; index < count && failed == 0; index++) {
        const struct descriptor *descriptor = factory->describe(factory, index);
        failed = descriptor != NULL ? live(factory, descriptor->id) : 3;
    }
    entry->deinit();
    return failed;
}

int main(int count, char **arguments)
{
    path = count > 1 ? realpath(arguments[1], NULL) : NULL;
    thread = pthread_self();
    return soak(count, arguments, cycle);
}

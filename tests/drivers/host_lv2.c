/* A bare host of LV2 plugins, the second witness of the driver `lv2`: host_lv2 PLUGIN CYCLES [INSTANCES]. It makes the calls that the driver
 * makes, and declares what it uses of LV2 1.18. What a bundle says of its plugins it asks lilv, which it opens and closes before the first cycle.
 * Its map of URIs lasts as long as the process. It holds libm, as LV2's hosts do: cc host_lv2.c -Wl,--no-as-needed -lm */
#include "host.h"

#include <libgen.h>
#include <stdarg.h>

#define EXT "http://lv2plug.in/ns/ext/"
#define CORE "http://lv2plug.in/ns/lv2core#"

enum { RATE = 48000, FRAMES = 64, ATOMS = 8192, MOST = 64, URIS = 8192, PORTS = 1024 };
enum { DESCRIBE = 1, INSTANTIATE, CONNECT_PORT = 4, RUN = 6, CLEANUP = 11, LIB_DESCRIPTOR };

struct feature { const char *uri; void *data; };

struct descriptor {
    const char *uri;
    void *(*instantiate)(const struct descriptor *, double rate, const char *bundle, const struct feature *const *);
    void (*connect_port)(void *, uint32_t port, void *to);
    void (*activate)(void *);
    void (*run)(void *, uint32_t frames);
    void (*deactivate)(void *);
    void (*cleanup)(void *);
    const void *(*extension_data)(const char *uri);
};

struct library {
    void *handle;
    uint32_t size;
    void (*cleanup)(void *);
    const struct descriptor *(*get_plugin)(void *, uint32_t index);
};

typedef int respond(void *host, uint32_t size, const void *data);

struct worker {
    int (*work)(void *, respond *, void *host, uint32_t size, const void *data);
    int (*work_response)(void *, uint32_t size, const void *data);
    int (*end_run)(void *);
};

struct map { void *handle; uint32_t (*map)(void *, const char *uri); };
struct unmap { void *handle; const char *(*unmap)(void *, uint32_t urid); };
struct schedule { void *handle; int (*schedule)(void *, uint32_t size, const void *data); };
struct log {
    void *handle;
    int (*print)(void *, uint32_t type, const char *format, ...);
    int (*print_list)(void *, uint32_t type, const char *format, va_list);
};
struct option { int context; uint32_t subject, key, size, type; const void *value; };

static const char *const supported[] = {
    EXT "urid#map", EXT "urid#unmap", EXT "options#options", EXT "worker#schedule", EXT "log#log",
    EXT "buf-size#boundedBlockLength", EXT "buf-size#fixedBlockLength", EXT "buf-size#powerOf2BlockLength",
    CORE "inPlaceBroken", CORE "hardRTCapable", CORE "isLive",
};
enum { GIVEN = 8, SUPPORTED = sizeof supported / sizeof *supported };

/* What a bundle says of a plugin: a letter for each port, in lower case for inputs (audio, control, CV, atoms), and the value of each control. */
struct plugin {
    struct plugin *next;
    char *uri, letters[PORTS + 1];
    float values[PORTS];
    int atoms;
};

static struct plugin *plugins;
static char bundle[4096];
static int instances = 1;
static char *uris[URIS];
static unsigned count_of_uris;

#define LILV(result, name, ...) ((result (*)(__VA_ARGS__))dlsym(lilv, "lilv_" #name))
typedef void *Node;

/* Asks lilv for the plugins that are in a file. Returns whether there is lilv. */
static int ask(const char *path)
{
    void *lilv = dlopen("liblilv-0.so.0", RTLD_NOW);
    if (lilv == NULL)
        return fprintf(stderr, "%s\n", dlerror()), 0;
    void *world = LILV(void *, world_new, void)();
    Node (*uri)(void *, const char *) = LILV(Node, new_uri, void *, const char *);
    const char *(*text)(Node) = LILV(const char *, node_as_uri, Node);
    float (*number)(Node) = LILV(float, node_as_float, Node);
    Node types[] = {uri(world, CORE "AudioPort"), uri(world, CORE "ControlPort"), uri(world, CORE "CVPort"), uri(world, EXT "atom#AtomPort")};
    Node output = uri(world, CORE "OutputPort"), optional = uri(world, CORE "connectionOptional");
    Node least_size = uri(world, EXT "resize-port#minimumSize");
    LILV(void, world_load_bundle, void *, Node)(world, LILV(Node, new_file_uri, void *, const char *, const char *)(world, NULL, bundle));
    void *all = LILV(void *, world_get_all_plugins, void *)(world);
    char (*is_a)(void *, void *, Node) = LILV(char, port_is_a, void *, void *, Node);
    for (void *at = LILV(void *, plugins_begin, void *)(all); !LILV(char, plugins_is_end, void *, void *)(all, at);
         at = LILV(void *, plugins_next, void *, void *)(all, at)) {
        void *of = LILV(void *, plugins_get, void *, void *)(all, at);
        Node library = LILV(Node, plugin_get_library_uri, void *)(of);
        char *file = library ? LILV(char *, node_get_path, Node, char **)(library, NULL) : NULL;
        char *real = file ? realpath(file, NULL) : NULL;
        int fits = real != NULL && strcmp(real, path) == 0;
        void *features = LILV(void *, plugin_get_required_features, void *)(of);
        for (void *feature = LILV(void *, nodes_begin, void *)(features); !LILV(char, nodes_is_end, void *, void *)(features, feature);
             feature = LILV(void *, nodes_next, void *, void *)(features, feature)) {
            const char *name = text(LILV(Node, nodes_get, void *, void *)(features, feature));
            int known = 0;
            for (int number_of = 0; number_of < SUPPORTED; number_of++)
                known |= strcmp(name, supported[number_of]) == 0;
            fits &= known;
        }
        uint32_t ports = LILV(uint32_t, plugin_get_num_ports, void *)(of);
        struct plugin *plugin = calloc(1, sizeof *plugin);
        for (uint32_t index = 0; fits && index < ports; index++) {
            void *port = LILV(void *, plugin_get_port_by_index, void *, uint32_t)(of, index);
            int type = 0;
            while (type < 4 && !is_a(of, port, types[type]))
                type++;
            plugin->letters[index] = "acvt-"[type];
            if (type == 4)
                fits = LILV(char, port_has_property, void *, void *, Node)(of, port, optional);
            else if (is_a(of, port, output))
                plugin->letters[index] = "ACVT"[type];
            Node size = LILV(Node, port_get, void *, void *, Node)(of, port, least_size), value[3] = {NULL, NULL, NULL};
            int bytes = size ? LILV(int, node_as_int, Node)(size) : 0;
            if (bytes > plugin->atoms)
                plugin->atoms = bytes;
            LILV(void, port_get_range, void *, void *, Node *, Node *, Node *)(of, port, &value[0], &value[1], &value[2]);
            float least = value[1] ? number(value[1]) : 0, most = value[2] ? number(value[2]) : 0;
            least = least == least && least > 0 ? least : 0;
            plugin->values[index] = value[0] && number(value[0]) == number(value[0]) ? number(value[0])
                : value[2] && most == most && most < least                         ? most
                                                                                   : least;
        }
        if (fits && ports <= PORTS) {
            plugin->atoms = plugin->atoms > ATOMS ? (plugin->atoms + 15) / 16 * 16 : ATOMS;
            plugin->uri = strdup(text(LILV(Node, plugin_get_uri, void *)(of)));
            plugin->next = plugins;
            plugins = plugin;
        }
    }
    LILV(void, world_free, void *)(world);
    dlclose(lilv);
    return 1;
}

static uint32_t map(void *handle, const char *uri)
{
    (void)handle;
    for (unsigned i = 0; i < count_of_uris; i++)
        if (strcmp(uris[i], uri) == 0)
            return i + 1;
    if (count_of_uris == URIS)
        return 0;
    uris[count_of_uris] = strdup(uri);
    return ++count_of_uris;
}

static const char *unmap(void *handle, uint32_t urid)
{
    (void)handle;
    return urid > 0 && urid <= count_of_uris ? uris[urid - 1] : NULL;
}

static int log_print(void *handle, uint32_t type, const char *format, ...)
{
    (void)handle, (void)type, (void)format;
    return 0;
}

static int log_list(void *handle, uint32_t type, const char *format, va_list list)
{
    (void)handle, (void)type, (void)format, (void)list;
    return 0;
}

struct response {
    struct response *next;
    uint32_t size;
    _Alignas(16) char data[];
};

struct host {
    void *instance;
    const struct worker *worker;
    struct response *first, **last;
    struct map map;
    struct unmap unmap;
    struct schedule schedule;
    struct log log;
    struct option options[6];
    struct feature features[GIVEN];
    const struct feature *pointers[GIVEN + 1];
    int32_t frames, atoms;
    float rate;
};

static int keep_response(void *handle, uint32_t size, const void *data)
{
    struct host *host = handle;
    struct response *response = malloc(sizeof *response + size);
    response->next = NULL;
    response->size = size;
    if (size > 0)
        memcpy(response->data, data, size);
    *host->last = response;
    host->last = &response->next;
    return 0;
}

static int schedule(void *handle, uint32_t size, const void *data)
{
    struct host *host = handle;
    if (host->instance == NULL || host->worker == NULL || host->worker->work == NULL)
        return 1;
    return host->worker->work(host->instance, keep_response, host, size, data);
}

static void answer(struct host *host, int deliver)
{
    while (host->first != NULL) {
        struct response *response = host->first;
        host->first = response->next;
        if (host->first == NULL)
            host->last = &host->first;
        if (deliver && host->worker && host->worker->work_response)
            host->worker->work_response(host->instance, response->size, response->data);
        free(response);
    }
    if (deliver && host->worker && host->worker->end_run)
        host->worker->end_run(host->instance);
}

static void furnish(struct host *host, int atoms)
{
    memset(host, 0, sizeof *host);
    host->last = &host->first;
    host->map.map = map;
    host->unmap.unmap = unmap;
    host->schedule = (struct schedule){host, schedule};
    host->log = (struct log){NULL, log_print, log_list};
    host->frames = FRAMES;
    host->atoms = atoms;
    host->rate = RATE;
    uint32_t integer = map(NULL, EXT "atom#Int"), number = map(NULL, EXT "atom#Float");
    struct option options[] = {
        {0, 0, map(NULL, EXT "buf-size#minBlockLength"), 4, integer, &host->frames},
        {0, 0, map(NULL, EXT "buf-size#maxBlockLength"), 4, integer, &host->frames},
        {0, 0, map(NULL, EXT "buf-size#nominalBlockLength"), 4, integer, &host->frames},
        {0, 0, map(NULL, EXT "buf-size#sequenceSize"), 4, integer, &host->atoms},
        {0, 0, map(NULL, EXT "parameters#sampleRate"), 4, number, &host->rate},
    };
    memcpy(host->options, options, sizeof options);
    void *data[GIVEN] = {&host->map, &host->unmap, host->options, &host->schedule, &host->log};
    for (int i = 0; i < GIVEN; i++) {
        host->features[i] = (struct feature){supported[i], data[i]};
        host->pointers[i] = &host->features[i];
    }
}

static size_t bytes_of(char letter, int atoms)
{
    return strchr("tT", letter) ? (size_t)atoms : strchr("cC", letter) ? 16 : letter == '-' ? 0 : FRAMES * sizeof(float);
}

static int live(const struct descriptor *of, const struct plugin *plugin)
{
    size_t each = 0;
    for (const char *letter = plugin->letters; *letter != 0; letter++)
        each += bytes_of(*letter, plugin->atoms);
    /* The memory is kept, so that the plugin's blocks don't fill its gaps. */
    static struct host hosts[MOST];
    static char *room;
    static size_t has;
    if (has < each * (size_t)instances)
        room = realloc(room, has = each * (size_t)instances);
    memset(room, 0, has);
    char *at = room;
    if (of->instantiate == NULL || of->connect_port == NULL || of->run == NULL || of->cleanup == NULL)
        return of->instantiate == NULL ? INSTANTIATE : of->connect_port == NULL ? CONNECT_PORT : of->run == NULL ? RUN : CLEANUP;
    for (int i = 0; i < instances; i++) {
        furnish(&hosts[i], plugin->atoms);
        hosts[i].instance = of->instantiate(of, RATE, bundle, hosts[i].pointers);
        if (hosts[i].instance == NULL)
            return INSTANTIATE;
        if (of->extension_data)
            hosts[i].worker = of->extension_data(EXT "worker#interface");
    }
    for (int i = 0; i < instances; i++)
        for (uint32_t port = 0; plugin->letters[port] != 0; port++) {
            char letter = plugin->letters[port];
            uint32_t sequence[] = {8, map(NULL, EXT "atom#Sequence"), 0, 0};
            uint32_t chunk[] = {(uint32_t)plugin->atoms - 8, map(NULL, EXT "atom#Chunk"), 0, 0};
            if (letter == 'a')
                for (int frame = 0; frame < FRAMES; frame++)
                    ((float *)at)[frame] = frame % 16 / 16.0f - 0.5f;
            if (letter == 'c')
                *(float *)at = plugin->values[port];
            if (letter == 't' || letter == 'T')
                memcpy(at, letter == 't' ? sequence : chunk, sizeof chunk);
            of->connect_port(hosts[i].instance, port, letter == '-' ? NULL : at);
            at += bytes_of(letter, plugin->atoms);
        }
    for (int i = 0; i < instances && of->activate; i++)
        of->activate(hosts[i].instance);
    for (int i = 0; i < instances; i++) {
        of->run(hosts[i].instance, FRAMES);
        answer(&hosts[i], 1);
    }
    for (int i = 0; i < instances && of->deactivate; i++)
        of->deactivate(hosts[i].instance);
    for (int i = 0; i < instances; i++) {
        of->cleanup(hosts[i].instance);
        answer(&hosts[i], 0);
        /* It leads into the plugin, which goes. */
        hosts[i].worker = NULL;
    }
    return 0;
}

static int cycle(void *file)
{
    const struct descriptor *(*describe)(uint32_t) = dlsym(file, "lv2_descriptor"), *of;
    const struct library *(*open)(const char *, const struct feature *const *) = dlsym(file, "lv2_lib_descriptor"), *library = NULL;
    static struct host host;
    furnish(&host, ATOMS);
    if (open != NULL && (library = open(bundle, host.pointers)) == NULL)
        return LIB_DESCRIPTOR;
    if (open == NULL && describe == NULL)
        return DESCRIBE;
    for (uint32_t index = 0; (of = library ? library->get_plugin(library->handle, index) : describe(index)) != NULL; index++) {
        if (of->uri == NULL)
            return DESCRIBE;
        for (struct plugin *plugin = plugins; plugin != NULL; plugin = plugin->next)
            if (strcmp(plugin->uri, of->uri) == 0) {
                int failed = live(of, plugin);
                if (failed)
                    return failed;
                break;
            }
    }
    if (library != NULL)
        library->cleanup(library->handle);
    return 0;
}

int main(int count, char **arguments)
{
    /* The bundle is where the plugin is named, which may be a link to a file that is elsewhere. */
    char *path = count > 1 ? realpath(arguments[1], NULL) : NULL;
    if (count > 3)
        instances = atoi(arguments[3]);
    if (path != NULL) {
        char *directory = realpath(dirname(strdup(arguments[1])), NULL);
        snprintf(bundle, sizeof bundle, "%s/", directory);
        if (!ask(path))
            return 3;
    }
    return instances < 1 || instances > MOST ? 3 : soak(count, arguments, cycle);
}

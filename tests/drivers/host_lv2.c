/* A bare LV2 host, the second witness of the driver `lv2`: host_lv2 PLUGIN CYCLES DETAIL [INSTANCES]
 *
 * DETAIL is the driver's detail, in a file. Each cycle opens the plugin, makes the calls that the driver makes, and closes it. The host
 * prints how the heap grows per cycle between the middle and the end. Its map of URIs lasts as long as the process. It includes the real
 * headers, of Debian's lv2-dev 1.18.
 *
 * cc -O1 -g -o host_lv2 host_lv2.c -lm
 */

#include <dlfcn.h>
#include <lv2/atom/atom.h>
#include <lv2/buf-size/buf-size.h>
#include <lv2/core/lv2.h>
#include <lv2/log/log.h>
#include <lv2/options/options.h>
#include <lv2/parameters/parameters.h>
#include <lv2/urid/urid.h>
#include <lv2/worker/worker.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host.h"

enum { RATE = 48000, FRAMES = 64, ATOMS = 8192, MOST = 64, URIS = 8192 };

static char *uris[URIS];
static unsigned count;

static LV2_URID map(LV2_URID_Map_Handle handle, const char *uri)
{
    (void)handle;
    for (unsigned i = 0; i < count; i++)
        if (strcmp(uris[i], uri) == 0)
            return i + 1;
    if (count == URIS)
        return 0;
    uris[count] = strdup(uri);
    return ++count;
}

static const char *unmap(LV2_URID_Unmap_Handle handle, LV2_URID urid)
{
    (void)handle;
    return urid > 0 && urid <= count ? uris[urid - 1] : NULL;
}

static int log_print(LV2_Log_Handle handle, LV2_URID type, const char *format, ...)
{
    (void)handle, (void)type, (void)format;
    return 0;
}

static int log_list(LV2_Log_Handle handle, LV2_URID type, const char *format, va_list list)
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
    LV2_Handle instance;
    const LV2_Worker_Interface *worker;
    struct response *first, **last;
    LV2_URID_Map map;
    LV2_URID_Unmap unmap;
    LV2_Worker_Schedule schedule;
    LV2_Log_Log log;
    LV2_Options_Option options[6];
    LV2_Feature features[8];
    const LV2_Feature *pointers[9];
    int32_t frames, atoms;
    float rate;
};

static LV2_Worker_Status respond(LV2_Worker_Respond_Handle handle, uint32_t size, const void *data)
{
    struct host *host = handle;
    struct response *response = malloc(sizeof *response + size);
    response->next = NULL;
    response->size = size;
    memcpy(response->data, data, size);
    *host->last = response;
    host->last = &response->next;
    return LV2_WORKER_SUCCESS;
}

static LV2_Worker_Status schedule(LV2_Worker_Schedule_Handle handle, uint32_t size, const void *data)
{
    struct host *host = handle;
    if (host->instance == NULL || host->worker == NULL || host->worker->work == NULL)
        return LV2_WORKER_ERR_UNKNOWN;
    return host->worker->work(host->instance, respond, host, size, data);
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
    host->schedule = (LV2_Worker_Schedule){host, schedule};
    host->log = (LV2_Log_Log){NULL, log_print, log_list};
    host->frames = FRAMES;
    host->atoms = atoms;
    host->rate = RATE;
    LV2_URID integer = map(NULL, LV2_ATOM__Int), number = map(NULL, LV2_ATOM__Float);
    LV2_Options_Option options[] = {
        {LV2_OPTIONS_INSTANCE, 0, map(NULL, LV2_BUF_SIZE__minBlockLength), 4, integer, &host->frames},
        {LV2_OPTIONS_INSTANCE, 0, map(NULL, LV2_BUF_SIZE__maxBlockLength), 4, integer, &host->frames},
        {LV2_OPTIONS_INSTANCE, 0, map(NULL, LV2_BUF_SIZE__nominalBlockLength), 4, integer, &host->frames},
        {LV2_OPTIONS_INSTANCE, 0, map(NULL, LV2_BUF_SIZE__sequenceSize), 4, integer, &host->atoms},
        {LV2_OPTIONS_INSTANCE, 0, map(NULL, LV2_PARAMETERS__sampleRate), 4, number, &host->rate},
    };
    memcpy(host->options, options, sizeof options);
    LV2_Feature features[] = {
        {LV2_URID__map, &host->map},
        {LV2_URID__unmap, &host->unmap},
        {LV2_OPTIONS__options, host->options},
        {LV2_WORKER__schedule, &host->schedule},
        {LV2_LOG__log, &host->log},
        {LV2_BUF_SIZE__boundedBlockLength, NULL},
        {LV2_BUF_SIZE__fixedBlockLength, NULL},
        {LV2_BUF_SIZE__powerOf2BlockLength, NULL},
    };
    memcpy(host->features, features, sizeof features);
    for (int i = 0; i < 8; i++)
        host->pointers[i] = &host->features[i];
}

static void live(const LV2_Descriptor *descriptor, const char *line, const char *bundle, int instances)
{
    char *copy = strdup(line), *rest = copy;
    strsep(&rest, "\t");
    char *letters = strsep(&rest, "\t"), *defaults = strsep(&rest, "\t"), *size = strsep(&rest, "\t");
    int atoms = size != NULL && atoi(size) > ATOMS ? (atoi(size) + 15) / 16 * 16 : ATOMS;
    size_t ports = strlen(letters), each = 0;
    for (size_t port = 0; port < ports; port++)
        each += strchr("tT", letters[port]) ? (size_t)atoms : strchr("cC", letters[port]) ? 16 : FRAMES * sizeof(float);
    struct host *hosts = calloc((size_t)instances, sizeof *hosts);
    char *room = calloc(each * (size_t)instances + 1, 1);
    for (int i = 0; i < instances; i++) {
        furnish(&hosts[i], atoms);
        LV2_Handle made = descriptor->instantiate(descriptor, RATE, bundle, hosts[i].pointers);
        if (made == NULL) {
            fprintf(stderr, "instantiate of %s failed\n", descriptor->URI);
            exit(1);
        }
        hosts[i].instance = made;
        if (descriptor->extension_data)
            hosts[i].worker = descriptor->extension_data(LV2_WORKER__interface);
    }
    char *at = room;
    for (int i = 0; i < instances; i++) {
        const char *next = defaults ? defaults : "";
        for (size_t port = 0; port < ports; port++) {
            char letter = letters[port];
            size_t bytes = strchr("tT", letter) ? (size_t)atoms : strchr("cC", letter) ? 16 : FRAMES * sizeof(float);
            if (letter == 'a')
                for (int frame = 0; frame < FRAMES; frame++)
                    ((float *)at)[frame] = frame % 16 / 16.0f - 0.5f;
            if (letter == 'c') {
                char *end;
                *(float *)at = strtof(next, &end);
                next = end;
            }
            if (strchr("tT", letter))
                *(LV2_Atom *)at = (LV2_Atom){letter == 't' ? 8 : (uint32_t)atoms - 8,
                                             map(NULL, letter == 't' ? LV2_ATOM__Sequence : LV2_ATOM__Chunk)};
            descriptor->connect_port(hosts[i].instance, (uint32_t)port, letter == '-' ? NULL : at);
            at += bytes;
        }
    }
    for (int i = 0; i < instances && descriptor->activate; i++)
        descriptor->activate(hosts[i].instance);
    for (int i = 0; i < instances; i++) {
        descriptor->run(hosts[i].instance, FRAMES);
        answer(&hosts[i], 1);
    }
    for (int i = 0; i < instances && descriptor->deactivate; i++)
        descriptor->deactivate(hosts[i].instance);
    for (int i = 0; i < instances; i++) {
        descriptor->cleanup(hosts[i].instance);
        answer(&hosts[i], 0);
    }
    free(room);
    free(hosts);
    free(copy);
}

int main(int arguments, char **argument)
{
    if (arguments < 4)
        return 2;
    static char detail[1 << 20];
    FILE *file = fopen(argument[3], "r");
    if (file == NULL || fread(detail, 1, sizeof detail - 1, file) == 0)
        return 2;
    fclose(file);
    long cycles = atol(argument[2]);
    int instances = arguments > 4 ? atoi(argument[4]) : 1;
    static char *lines[4096];
    int used = 0;
    for (char *rest = detail, *line; used < 4096 && (line = strsep(&rest, "\n")) != NULL;)
        lines[used++] = line;
    double middle = 0;
    for (long cycle = 0; cycle < cycles; cycle++) {
        if (cycle == cycles / 2)
            middle = heap();
        void *handle = dlopen(argument[1], RTLD_NOW | RTLD_LOCAL);
        LV2_Descriptor_Function describe = handle ? (LV2_Descriptor_Function)dlsym(handle, "lv2_descriptor") : NULL;
        if (describe == NULL) {
            fprintf(stderr, "%s\n", dlerror());
            return 1;
        }
        const LV2_Descriptor *descriptor;
        for (uint32_t index = 0; (descriptor = describe(index)) != NULL; index++)
            for (int line = 1; line < used; line++) {
                size_t length = strlen(descriptor->URI);
                if (strncmp(lines[line], descriptor->URI, length) == 0 && lines[line][length] == '\t') {
                    live(descriptor, lines[line], lines[0], instances);
                    break;
                }
            }
        dlclose(handle);
    }
    printf("%.1f per cycle\n", (heap() - middle) / (double)(cycles - cycles / 2));
    return 0;
}

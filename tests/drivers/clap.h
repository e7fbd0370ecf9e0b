/* What the plugin for tests and the bare host use of CLAP 1.2. The driver's own declarations are compared with those of clap-sys. */
#ifndef CLAP_H
#define CLAP_H

#include <stdbool.h>
#include <stdint.h>

struct host {
    uint32_t version[3];
    void *data;
    const char *name, *vendor, *url, *release;
    const void *(*get_extension)(const struct host *, const char *id);
    void (*request_restart)(const struct host *);
    void (*request_process)(const struct host *);
    void (*request_callback)(const struct host *);
};

struct thread_check {
    bool (*is_main_thread)(const struct host *);
    bool (*is_audio_thread)(const struct host *);
};

struct descriptor {
    uint32_t version[3];
    const char *id, *name, *vendor, *url, *manual_url, *support_url, *release, *description;
    const char *const *features;
};

struct audio_port {
    uint32_t id;
    char name[256];
    uint32_t flags, channels;
    const char *type;
    uint32_t in_place_pair;
};

struct note_port {
    uint32_t id, supported, preferred;
    char name[256];
};

struct buffer {
    float **data32;
    double **data64;
    uint32_t channels, latency;
    uint64_t constant;
};

struct in_events {
    void *context;
    uint32_t (*size)(const struct in_events *);
    const void *(*get)(const struct in_events *, uint32_t index);
};

struct out_events {
    void *context;
    bool (*try_push)(const struct out_events *, const void *event);
};

struct process {
    int64_t time;
    uint32_t frames;
    const void *transport;
    const struct buffer *inputs;
    struct buffer *outputs;
    uint32_t input_count, output_count;
    const struct in_events *in;
    const struct out_events *out;
};

struct plugin {
    const struct descriptor *descriptor;
    void *data;
    bool (*init)(const struct plugin *);
    void (*destroy)(const struct plugin *);
    bool (*activate)(const struct plugin *, double rate, uint32_t least, uint32_t most);
    void (*deactivate)(const struct plugin *);
    bool (*start_processing)(const struct plugin *);
    void (*stop_processing)(const struct plugin *);
    void (*reset)(const struct plugin *);
    int32_t (*process)(const struct plugin *, const struct process *);
    const void *(*get_extension)(const struct plugin *, const char *id);
    void (*on_main_thread)(const struct plugin *);
};

struct factory {
    uint32_t (*count)(const struct factory *);
    const struct descriptor *(*describe)(const struct factory *, uint32_t index);
    const struct plugin *(*create)(const struct factory *, const struct host *, const char *id);
};

struct ports {
    uint32_t (*count)(const struct plugin *, bool is_input);
    bool (*get)(const struct plugin *, uint32_t index, bool is_input, void *port);
};

struct entry {
    uint32_t version[3];
    bool (*init)(const char *path);
    void (*deinit)(void);
    const void *(*get_factory)(const char *id);
};

#endif

/* A bare host of GStreamer's plugins: host_gstreamer PLUGIN.so CYCLES. It declares what it uses of GStreamer 1; link it with
 * libgstreamer-1.0.so.0. The environment is that of the caller. */
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host.h"

typedef struct list { void *data; struct list *next, *before; } List;
void gst_init(int *, char ***);
void *gst_plugin_load_file(const char *, void **);
const char *gst_plugin_get_name(void *);
void *gst_registry_get(void);
List *gst_registry_get_feature_list_by_plugin(void *, const char *);
void gst_plugin_feature_list_free(List *);
size_t gst_element_factory_get_type(void);
void *gst_element_factory_create(void *, const char *);
void gst_object_unref(void *);
int g_type_check_instance_is_a(void *, size_t);

static const char *path;
static int cycle(void);

int main(int count, char **arguments)
{
    if (count < 3)
        return 2;
    long cycles = atol(arguments[2]);
    size_t middle = 0;
    for (long number = 0; number < cycles; number++) {
        if (number == cycles / 2)
            middle = heap();
        if (number == 0)
            gst_init(NULL, NULL);
        path = arguments[1];
        void *plugin = dlopen(arguments[1], RTLD_NOW);
        if (plugin == NULL) {
            fprintf(stderr, "%s\n", dlerror());
            return 2;
        }
        int failed = cycle();
        if (failed != 0) {
            fprintf(stderr, "step %d failed in cycle %ld\n", failed, number);
            return 1;
        }
        dlclose(plugin);
    }
    printf("%.2f\n", (double)(long)(heap() - middle) / (double)(cycles - cycles / 2));
    return 0;
}

static int cycle(void)
{
    void *plugin = gst_plugin_load_file(path, NULL);
    if (plugin == NULL)
        return 1;
    List *features = gst_registry_get_feature_list_by_plugin(gst_registry_get(), gst_plugin_get_name(plugin));
    for (List *at = features; at != NULL; at = at->next) {
        if (!g_type_check_instance_is_a(at->data, gst_element_factory_get_type()))
            continue;
        void *element = gst_element_factory_create(at->data, NULL);
        if (element == NULL)
            return 2;
        gst_object_unref(element);
    }
    gst_plugin_feature_list_free(features);
    gst_object_unref(plugin);
    return 0;
}

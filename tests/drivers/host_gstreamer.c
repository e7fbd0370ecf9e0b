/* A bare host of GStreamer's plugins, the second witness of the driver `gstreamer`: host_gstreamer PLUGIN.so CYCLES. It declares what it uses of
 * GStreamer 1; link it with libgstreamer-1.0.so.0 and libgobject-2.0.so.0. The environment is that of the caller. */
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
void gst_segtrap_set_enabled(int);
int g_type_check_instance_is_a(void *, size_t);

static const char *path;

static int cycle(void *file)
{
    (void)file;
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

int main(int count, char **arguments)
{
    path = arguments[count > 1];
    /* Else GStreamer ends the process with exit when a plugin crashes while it is loaded. */
    gst_segtrap_set_enabled(0);
    gst_init(NULL, NULL);
    return soak(count, arguments, cycle);
}

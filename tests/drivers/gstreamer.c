/* A plugin of GStreamer with one element. FIXTURE says what it does wrong: leak-STEP, fail-STEP or crash-STEP, where STEP is load, create or
 * unref; only load can fail, and it happens once. It declares what it uses of GLib 2 and GStreamer 1. */
#include <stdlib.h>
#include <string.h>

#include "fixture.h"

STEP(load)
STEP(create)
STEP(unref)

typedef size_t GType;
typedef struct { GType type; const char *name; unsigned class_size, instance_size; } GTypeQuery;
void g_type_query(GType, GTypeQuery *);
GType g_type_register_static_simple(GType, const char *, unsigned, void *, unsigned, void *, int);
void *g_type_class_peek_parent(void *);
GType gst_element_get_type(void);
int gst_element_register(void *, const char *, unsigned, GType);
void gst_element_class_set_static_metadata(void *, const char *, const char *, const char *, const char *);

/* GObjectClass, as far as it is used. */
struct object_class { GType type; void *properties, *constructor, *set, *get, *dispose; void (*finalize)(void *); };
static struct object_class *parent;

static void finalize(void *element)
{
    wrong_unref();
    parent->finalize(element);
}

static void begin_class(void *class)
{
    parent = g_type_class_peek_parent(class);
    ((struct object_class *)class)->finalize = finalize;
    gst_element_class_set_static_metadata(class, "fixture", "Generic", "does nothing", "dlsoak");
}

static void begin(void *element, void *class)
{
    (void)element;
    (void)class;
    wrong_create();
}

static int begin_plugin(void *plugin)
{
    if (wrong_load())
        return 0;
    GTypeQuery of;
    g_type_query(gst_element_get_type(), &of);
    GType type = g_type_register_static_simple(
        gst_element_get_type(), "DlsoakFixture", of.class_size, (void *)begin_class, of.instance_size, (void *)begin, 0);
    return gst_element_register(plugin, "dlsoakfixture", 0, type);
}

/* GstPluginDesc. */
static const struct {
    int major, minor;
    const char *name, *description;
    int (*begin)(void *);
    const char *version, *license, *source, *package, *origin, *date;
    void *reserved[4];
} desc = {1, 0, "gstreamer", "fixture", begin_plugin, "1.0", "LGPL", "dlsoak", "dlsoak", "https://example.org", NULL, {0}};

const void *gst_plugin_gstreamer_get_desc(void)
{
    return &desc;
}

/* GStreamer takes "gst" off the file's name. */
const void *gst_plugin_reamer_get_desc(void)
{
    return &desc;
}

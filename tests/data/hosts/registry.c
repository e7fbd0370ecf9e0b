// A library that a host keeps, as GLib or libprotobuf: a table of names and callbacks, kept as they are given.
#include <string.h>

static struct { const char *name; void (*callback)(void); } table[4096];
static int count;

int reg_add(const char *name, void (*callback)(void)) {
    for (int i = 0; i < count; i++)
        if (!strcmp(table[i].name, name)) {
            table[i].callback = callback;
            return 1;
        }
    if (count < 4096) {
        table[count].name = name;
        table[count++].callback = callback;
    }
    return 0;
}

void reg_remove(const char *name) {
    for (int i = 0; i < count; i++)
        if (!strcmp(table[i].name, name)) {
            table[i] = table[--count];
            memset(&table[count], 0, sizeof table[count]);
            return;
        }
}

void reg_call(void) {
    for (int i = 0; i < count; i++) table[i].callback();
}

int reg_data = 7;

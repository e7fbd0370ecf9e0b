// A library that the host keeps: a table of names and callbacks, kept as they are given.
#include <string.h>

static struct { const char *name; void (*callback)(void); } table[64];
static int count;

int reg_add(const char *name, void (*callback)(void)) {
    for (int i = 0; i < count; i++)
        if (!strcmp(table[i].name, name)) {
            table[i].callback = callback;
            return 1;
        }
    table[count].name = name;
    table[count++].callback = callback;
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

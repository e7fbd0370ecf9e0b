/* A library that others need, and that stays (-z nodelete): it keeps what they register. */
#include <stdlib.h>
#include <string.h>

#include "helper-registry.h"

#define OFFERED __attribute__((visibility("default")))

static struct {
    const char *name;
    void (*callback)(void);
} table[64];
static unsigned used;
static void (*hook)(void);
static struct node {
    struct node *next;
    void (*callback)(void);
} *list;

OFFERED void registry_add(const char *name, void (*callback)(void)) {
    for (unsigned i = 0; i < used; i++)
        if (!strcmp(table[i].name, name)) {
            table[i].callback = callback;
            return;
        }
    if (used < 64) {
        table[used].name = name;
        table[used++].callback = callback;
    }
}

OFFERED void registry_remove(const char *name) {
    for (unsigned i = 0; i < used; i++)
        if (!strcmp(table[i].name, name)) {
            table[i] = table[--used];
            memset(&table[used], 0, sizeof table[used]);
            return;
        }
}

OFFERED void registry_hook(void (*callback)(void)) {
    hook = callback;
}

OFFERED void registry_push(void (*callback)(void)) {
    struct node *node = malloc(sizeof *node);
    if (!node) return;
    node->next = list;
    node->callback = callback;
    list = node;
}

OFFERED void registry_pop(void) {
    struct node *node = list;
    if (!node) return;
    list = node->next;
    free(node);
}

/* So that neither is optimised away. */
OFFERED void registry_call(void) {
    if (hook) hook();
    for (struct node *node = list; node; node = node->next) node->callback();
}

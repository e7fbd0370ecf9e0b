// A plugin that leaves a name and a callback of its own in the registry, or with UNDONE takes nothing from it.
int reg_add(const char *name, void (*callback)(void));

#ifdef UNDONE
int info(void) { return reg_add != 0; }
#else
static void callback(void) {}
__attribute__((constructor)) static void begin(void) { reg_add("A", callback); }
int info(void) { return 1; }
#endif

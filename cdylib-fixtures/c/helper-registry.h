/* A registry like those of GLib, X11 or a protocol library: it keeps the pointers that it is given, and stays. */
void registry_add(const char *name, void (*callback)(void));
void registry_remove(const char *name);
void registry_hook(void (*callback)(void));
void registry_push(void (*callback)(void));
void registry_pop(void);

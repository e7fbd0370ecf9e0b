// A plugin that leaves its name and a callback in the registry; with UNDONE its destructor takes them back. With LARGE its data, which
// lies behind its strings, is larger than another plugin.
int reg_add(const char *name, void (*callback)(void));
void reg_remove(const char *name);

static void callback(void) {}
__attribute__((constructor)) static void begin(void) { reg_add(NAME, callback); }
#ifdef UNDONE
__attribute__((destructor)) static void end(void) { reg_remove(NAME); }
#endif
#ifdef LARGE
char large[1 << 20] = {1};
#endif
int info(void) { return 1; }

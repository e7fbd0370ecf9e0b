/* A plugin that forgets the main contexts of its eight workers in each load, each with an eventfd, and a plain C host that ends with
 * "Creating pipes for GWakeup: Too many open files": https://github.com/Igalia/cog/issues/718
 *
 *     cc -shared -fPIC wakeup.c -o plugin.so -l:libglib-2.0.so.0
 *     dlsoak run -n 2k ./plugin.so
 *
 * With -DUNDONE the plugin gives them back. The prototypes are those of GLib, so that its headers are not needed. */
extern void *g_main_context_new(void);
extern void g_main_context_unref(void *);

static void *contexts[8];

__attribute__((constructor)) static void begin(void) {
    for (int i = 0; i < 8; i++) contexts[i] = g_main_context_new();
}

#ifdef UNDONE
__attribute__((destructor)) static void end(void) {
    for (int i = 0; i < 8; i++) g_main_context_unref(contexts[i]);
}
#endif

/* For a host that calls something. */
long fibonacci(int n) {
    return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}

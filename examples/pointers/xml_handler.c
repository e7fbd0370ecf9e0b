/* A plugin that leaves its error handler in libxml2, and a plain C host in which the next error crashes:
 * https://github.com/xkbcommon/libxkbcommon/issues/529
 *
 *     cc -shared -fPIC -DPLUGIN xml_handler.c -o plugin.so -l:libxml2.so.2
 *     cc xml_handler.c -o host -l:libxml2.so.2 && ./host ./plugin.so
 *     dlsoak run --env LD_PRELOAD=libxml2.so.2 ./plugin.so
 *
 * With -DUNDONE the plugin takes the handler back. The prototypes are those of libxml2, so that its headers are not needed. */
extern void xmlSetGenericErrorFunc(void *, void (*)(void *, const char *, ...));

#ifdef PLUGIN
static void report(void *context, const char *message, ...) {
    (void)context;
    (void)message;
}

__attribute__((constructor)) static void begin(void) {
    xmlSetGenericErrorFunc(0, report);
}

#ifdef UNDONE
__attribute__((destructor)) static void end(void) {
    xmlSetGenericErrorFunc(0, 0);
}
#endif
#else
#include <dlfcn.h>
#include <stdio.h>

extern void *xmlReadMemory(const char *, int, const char *, const char *, int);

int main(int arguments, char **argument) {
    if (arguments != 2) return fprintf(stderr, "usage: host PLUGIN\n"), 2;
    /* So that libxml2 is in use, and stays. */
    xmlSetGenericErrorFunc(0, 0);
    void *handle = dlopen(argument[1], RTLD_NOW);
    if (!handle) return fprintf(stderr, "%s\n", dlerror()), 2;
    dlclose(handle);
    xmlReadMemory("<test", 5, "test.xml", 0, 0);
    puts("the error was reported");
    return 0;
}
#endif

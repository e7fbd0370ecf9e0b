/* A host that asks the library from within its callback. */
#include <dlfcn.h>
#include <stdint.h>

static int64_t (*ask)(int32_t);

static void called_back(void) {
    ask(1);
}

__attribute__((visibility("default"))) int cycle(void *handle) {
    void (*set_callback)(void (*)(void)) = (void (*)(void (*)(void)))dlsym(handle, "set_callback");
    ask = (int64_t (*)(int32_t))dlsym(handle, "fibonacci");
    if (!set_callback || !ask) return 1;
    set_callback(called_back);
    ask(20);
    return 0;
}

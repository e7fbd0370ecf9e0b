/* Turns on the loader that loads it, or on its own file, one way for each macro. */
#define _GNU_SOURCE
#include <ctype.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "hostile.h"

/* The path of this library. */
static inline const char *own_path(void) {
    Dl_info info;
    return dladdr((void *)own_path, &info) && info.dli_fname ? info.dli_fname : "";
}

/* True of a private copy, whose name begins with the number of its cycle: no other file is harmed. */
static inline int is_copy(void) {
    const char *path = own_path(), *name = strrchr(path, '/');
    return name && strstr(path, "dlsoak-") && isdigit((unsigned char)name[1]);
}

#if defined(CLOSES_ITSELF)
static void harm(void) {
    void *handle = dlopen(own_path(), RTLD_NOW | RTLD_NOLOAD);
    if (!handle) abort();
    dlclose(handle);
    dlclose(handle);
}
#elif defined(OPENS_ITSELF)
/* Deeper and deeper, and each one is closed again. */
static void open_again(int depth) {
    void *handle = dlopen(own_path(), RTLD_NOW);
    if (!handle) abort();
    if (depth < 50) open_again(depth + 1);
    dlclose(handle);
}
static void harm(void) {
    open_again(0);
}
#elif defined(TRUNCATES)
/* What is not in memory yet is gone with the file. */
__attribute__((aligned(4096))) static const char far_away[1 << 20] = {1};
static void harm(void) {
    if (!is_copy()) return;
    if (truncate(own_path(), 4096) != 0) abort();
    for (size_t i = 0; i < sizeof far_away; i += 4096) {
        if (((const volatile char *)far_away)[i] == 2) abort();
    }
}
#elif defined(UNLINKS)
static void harm(void) {
    if (is_copy() && unlink(own_path()) != 0) abort();
}
#elif defined(SLOW_CONSTRUCTOR)
__attribute__((constructor)) static void begin(void) {
    for (;;) sleep(1);
}
static void harm(void) {}
#elif defined(SLOW_DESTRUCTOR)
__attribute__((destructor)) static void end(void) {
    for (;;) sleep(1);
}
static void harm(void) {}
#endif

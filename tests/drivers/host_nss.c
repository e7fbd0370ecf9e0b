/* A bare host of NSS modules: host_nss MODULE CYCLES SERVICE. cc -O1 -g host_nss.c */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

#include "host.h"

typedef int function();
static char result[256], texts[16384];
static const char missing[] = "dlsoak-missing", no_host[] = "dlsoak-missing-dlsoak-missing-dlsoak-missing-dlsoak-missing-dlso.invalid";
static const size_t room = sizeof texts;

static function *find(void *library, const char *service, const char *end)
{
    char name[128];
    snprintf(name, sizeof name, "_nss_%s_%s", service, end);
    return (function *)dlsym(library, name);
}

#define LOOKUP(end, ...) \
    if ((call = find(library, service, end))) { \
        int error = 0, host_error = 0, status = call(__VA_ARGS__); \
        (void)host_error; \
        if (getenv("SAY")) \
            fprintf(stderr, "%s: %d\n", end, status); \
        if (status < -2 || status > 2) \
            return fprintf(stderr, "%s: %d\n", end, status), 1; \
    }

static int cycle(const char *path, const char *service)
{
    function *call;
    void *library = dlopen(path, RTLD_NOW);
    if (!library)
        return fprintf(stderr, "%s\n", dlerror()), 1;
    LOOKUP("getpwnam_r", missing, result, texts, room, &error)
    LOOKUP("getpwuid_r", 0x7fff1d1d, result, texts, room, &error)
    LOOKUP("getgrnam_r", missing, result, texts, room, &error)
    LOOKUP("getgrgid_r", 0x7fff1d1d, result, texts, room, &error)
    LOOKUP("getspnam_r", missing, result, texts, room, &error)
    LOOKUP("gethostbyname2_r", no_host, 2, result, texts, room, &error, &host_error)
    LOOKUP("getservbyname_r", missing, "tcp", result, texts, room, &error)
    LOOKUP("getservbyport_r", 0xfd1d, "tcp", result, texts, room, &error)
    LOOKUP("getprotobyname_r", missing, result, texts, room, &error)
    LOOKUP("getprotobynumber_r", 0xfd1d, result, texts, room, &error)
    LOOKUP("getnetbyname_r", no_host, result, texts, room, &error, &host_error)
    LOOKUP("getrpcbyname_r", missing, result, texts, room, &error)
    LOOKUP("getrpcbynumber_r", 0x7fff1d1d, result, texts, room, &error)
    LOOKUP("gethostton_r", missing, result, texts, room, &error)
    dlclose(library);
    return 0;
}

int main(int count, char **words)
{
    if (count < 4)
        return 2;
    long cycles = atol(words[2]), middle = 0;
    for (long i = 0; i < cycles; i++) {
        if (i == cycles / 2)
            middle = heap();
        if (cycle(words[1], words[3]))
            return 1;
    }
    printf("%.1f per cycle\n", (double)((long)(heap()) - middle) / (cycles - cycles / 2));
    return 0;
}

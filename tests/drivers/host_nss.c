/* A bare host of NSS modules, the second witness of the driver `nss`: host_nss MODULE CYCLES. The service is that of the functions which the
 * module exports. A step is a database. */
#include "host.h"

typedef int function();
static char result[256], texts[16384];
static const char missing[] = "dlsoak-missing", no_host[] = "dlsoak-missing-dlsoak-missing-dlsoak-missing-dlsoak-missing-dlso.invalid";
static const size_t room = sizeof texts;
static char service[128];

static function *find(void *library, const char *end)
{
    char name[192];
    snprintf(name, sizeof name, "%s_%s", service, end);
    return (function *)dlsym(library, name);
}

/* Takes the service from a name: what is before its last `_get`. */
static int serves(void *library)
{
    for (const char *name = ""; (name = exported(library, "_nss_", "", name)) != NULL;) {
        const char *end = NULL;
        for (const char *at = name; (at = strstr(at, "_get")) != NULL; at++)
            end = at;
        if (end > name + 5)
            return snprintf(service, sizeof service, "%.*s", (int)(end - name), name);
    }
    return 0;
}

#define LOOKUP(step, end, ...) \
    if ((call = find(library, end))) { \
        int error = 0, host_error = 0, status = call(__VA_ARGS__); \
        (void)host_error; \
        if (status < -2 || status > 2) \
            return step; \
    }

static int cycle(void *library)
{
    function *call;
    if (service[0] == 0 && !serves(library))
        return 0;
    LOOKUP(1, "getpwnam_r", missing, result, texts, room, &error)
    LOOKUP(1, "getpwuid_r", 0x7fff1d1d, result, texts, room, &error)
    LOOKUP(2, "getgrnam_r", missing, result, texts, room, &error)
    LOOKUP(2, "getgrgid_r", 0x7fff1d1d, result, texts, room, &error)
    LOOKUP(3, "getspnam_r", missing, result, texts, room, &error)
    LOOKUP(4, "gethostbyname2_r", no_host, 2, result, texts, room, &error, &host_error)
    LOOKUP(5, "getservbyname_r", missing, "tcp", result, texts, room, &error)
    LOOKUP(5, "getservbyport_r", 0xfd1d, "tcp", result, texts, room, &error)
    LOOKUP(6, "getprotobyname_r", missing, result, texts, room, &error)
    LOOKUP(6, "getprotobynumber_r", 0xfd1d, result, texts, room, &error)
    LOOKUP(7, "getnetbyname_r", no_host, result, texts, room, &error, &host_error)
    LOOKUP(8, "getrpcbyname_r", missing, result, texts, room, &error)
    LOOKUP(8, "getrpcbynumber_r", 0x7fff1d1d, result, texts, room, &error)
    LOOKUP(9, "gethostton_r", missing, result, texts, room, &error)
    return 0;
}

int main(int count, char **arguments)
{
    return soak(count, arguments, cycle);
}

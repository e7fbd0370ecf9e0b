/* A bare host of gconv modules, the second witness of the driver `gconv`: host_gconv MODULE CYCLES. The conversions are those that the
 * configuration beside the module has. It needs glibc's gconv.h. */
#include "host.h"

#include <ctype.h>
#include <gconv.h>
#include <glob.h>

enum { INIT = 1, CONVERT, FLUSH, MOST = 256 };

static const unsigned sample[] = { 0x41, 0x7a, 0x30, 0x39, 0x20, 0x2e, 0x2d, 0xe9, 0xdf, 0x3a9, 0x416, 0x3042, 0x4e2d, 0xd55c, 0x639, 0xe44 };
static unsigned char in[4160], out[4160];
static char *pairs[MOST][2];
static int used;

/* Takes the module's lines of a file: `module FROM TO FILE COST`. */
static void configure(const char *file, const char *module)
{
    char line[1024], from[256], to[256], name[256];
    FILE *lines = fopen(file, "r");
    while (lines != NULL && used < MOST && fgets(line, sizeof line, lines) != NULL) {
        line[strcspn(line, "#")] = 0;
        if (sscanf(line, " module %255s %255s %255s", from, to, name) != 3)
            continue;
        char *end = strrchr(name, '.');
        if (end != NULL && strcmp(end, ".so") == 0)
            *end = 0;
        if (strcmp(name, module) != 0)
            continue;
        for (char *at = from; *at != 0; at++)
            *at = (char)toupper(*at);
        for (char *at = to; *at != 0; at++)
            *at = (char)toupper(*at);
        pairs[used][0] = strdup(from);
        pairs[used++][1] = strdup(to);
    }
    if (lines != NULL)
        fclose(lines);
}

static int cycle(void *library)
{
    __gconv_fct convert = (__gconv_fct)dlsym(library, "gconv");
    __gconv_init_fct init = (__gconv_init_fct)dlsym(library, "gconv_init");
    __gconv_end_fct end = (__gconv_end_fct)dlsym(library, "gconv_end");
    const char *from_before = "", *to_before = "";
    size_t made = 0, irreversible = 0;
    for (int pair = 0; pair < used; pair++) {
        char *from = pairs[pair][0], *to = pairs[pair][1];
        struct __gconv_step step = { .__counter = 1, .__from_name = from, .__to_name = to, .__fct = convert, .__init_fct = init, .__end_fct = end };
        struct __gconv_step_data data = { .__outbuf = out, .__outbufend = out + sizeof out, .__flags = __GCONV_IS_LAST, .__statep = &data.__state };
        int internal = !strcmp(from, "INTERNAL"), status;
        if (strcmp(from, to_before) || strcmp(to, from_before))
            made = 0;
        from_before = from, to_before = to;
        if (init && init(&step) != __GCONV_OK)
            return INIT;
        size_t bytes = made > 1024 ? 1024 : made;
        if (internal || !bytes) {
            bytes = 1024;
            for (int i = 0; i < 1024; i++)
                in[i] = internal ? ((const unsigned char *)&sample[i / 4 % 16])[i % 4] : '0' + i % 4;
        }
        const unsigned char *at = in, *stop = in + bytes;
        while (at < stop) {
            status = convert(&step, &data, &at, stop, NULL, &irreversible, 0, 0);
            if (status == __GCONV_ILLEGAL_INPUT)
                at += internal ? 4 : 1;
            else if (status == __GCONV_OK || status == __GCONV_EMPTY_INPUT || status == __GCONV_INCOMPLETE_INPUT)
                break;
            else
                return CONVERT;
        }
        status = convert(&step, &data, NULL, NULL, NULL, &irreversible, 1, 0);
        if (status != __GCONV_OK && status != __GCONV_EMPTY_INPUT)
            return FLUSH;
        made = data.__outbuf - out;
        memcpy(in, out, made);
        if (end)
            end(&step);
    }
    return 0;
}

int main(int count, char **arguments)
{
    char *path = count > 1 ? realpath(arguments[1], NULL) : NULL, *module = path ? strrchr(path, '/') : NULL, place[4096];
    glob_t more;
    if (module != NULL) {
        *module++ = 0;
        module[strcspn(module, ".")] = 0;
        snprintf(place, sizeof place, "%s/gconv-modules", path);
        configure(place, module);
        snprintf(place, sizeof place, "%s/gconv-modules.d/*.conf", path);
        if (glob(place, 0, NULL, &more) == 0)
            for (size_t file = 0; file < more.gl_pathc; file++)
                configure(more.gl_pathv[file], module);
    }
    return soak(count, arguments, cycle);
}

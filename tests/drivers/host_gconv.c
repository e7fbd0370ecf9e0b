/* A bare host of gconv modules: host_gconv MODULE CYCLES "FROM TO FROM TO ...". Needs glibc's gconv.h. cc -O1 -g host_gconv.c */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <gconv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host.h"

static const unsigned sample[] = { 0x41, 0x7a, 0x30, 0x39, 0x20, 0x2e, 0x2d, 0xe9, 0xdf, 0x3a9, 0x416, 0x3042, 0x4e2d, 0xd55c, 0x639, 0xe44 };
static unsigned char in[4160], out[4160];

static int cycle(const char *path, char *pairs)
{
    void *library = dlopen(path, RTLD_NOW);
    if (!library)
        return fprintf(stderr, "%s\n", dlerror()), 1;
    __gconv_fct convert = (__gconv_fct)dlsym(library, "gconv");
    __gconv_init_fct init = (__gconv_init_fct)dlsym(library, "gconv_init");
    __gconv_end_fct end = (__gconv_end_fct)dlsym(library, "gconv_end");
    char text[8192], *save, *from, *to, *from_before = "", *to_before = "";
    size_t made = 0, irreversible = 0;
    snprintf(text, sizeof text, "%s", pairs);
    for (from = strtok_r(text, " ", &save); from && (to = strtok_r(NULL, " ", &save)); from = strtok_r(NULL, " ", &save)) {
        struct __gconv_step step = { .__counter = 1, .__from_name = from, .__to_name = to, .__fct = convert, .__init_fct = init, .__end_fct = end };
        struct __gconv_step_data data = { .__outbuf = out, .__outbufend = out + sizeof out, .__flags = __GCONV_IS_LAST, .__statep = &data.__state };
        int internal = !strcmp(from, "INTERNAL"), status;
        if (strcmp(from, to_before) || strcmp(to, from_before))
            made = 0;
        from_before = from, to_before = to;
        if (init && (status = init(&step)) != __GCONV_OK)
            return fprintf(stderr, "init %s %s: %d\n", from, to, status), 1;
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
                return fprintf(stderr, "convert %s %s: %d\n", from, to, status), 1;
        }
        status = convert(&step, &data, NULL, NULL, NULL, &irreversible, 1, 0);
        if (status != __GCONV_OK && status != __GCONV_EMPTY_INPUT)
            return fprintf(stderr, "flush %s %s: %d\n", from, to, status), 1;
        made = data.__outbuf - out;
        memcpy(in, out, made);
        if (end)
            end(&step);
    }
    dlclose(library);
    return 0;
}

int main(int count, char **words)
{
    if (count < 3)
        return 2;
    long cycles = atol(words[2]), middle = 0;
    for (long i = 0; i < cycles; i++) {
        if (i == cycles / 2)
            middle = heap();
        if (cycle(words[1], count > 3 ? words[3] : ""))
            return 1;
    }
    printf("%.1f per cycle\n", (double)((long)(heap()) - middle) / (cycles - cycles / 2));
    return 0;
}

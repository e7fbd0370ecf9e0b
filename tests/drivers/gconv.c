/* A gconv module that copies: INTERNAL to INTERNAL in bytes. FIXTURE says what it does wrong: leak-STEP, fail-STEP or crash-STEP. */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

struct step_data {
    unsigned char *outbuf, *outbufend;
    int flags, invocation_counter, internal_use;
    void *statep;
    long state;
};

static int is(const char *kind, const char *step)
{
    const char *fixture = getenv("FIXTURE");
    size_t len = strlen(kind);
    return fixture && !strncmp(fixture, kind, len) && fixture[len] == '-' && !strcmp(fixture + len + 1, step);
}

#define STEP(name) \
    static __attribute__((noinline)) void leak_##name(void) \
    { \
        void *volatile lost = malloc(40); \
        (void)lost; \
    } \
    static __attribute__((noinline)) void crash_##name(void) \
    { \
        volatile int *volatile nowhere = 0; \
        *nowhere = 1; \
    } \
    static int wrong_##name(void) \
    { \
        if (is("leak", #name)) \
            leak_##name(); \
        if (is("crash", #name)) \
            crash_##name(); \
        return is("fail", #name); \
    }

STEP(init)
STEP(convert)
STEP(flush)
STEP(end)

int gconv_init(void *step)
{
    (void)step;
    return wrong_init() ? 3 : 0;
}

int gconv(void *step, struct step_data *data, const unsigned char **from, const unsigned char *to, unsigned char **start,
    size_t *irreversible, int do_flush, int consume)
{
    (void)step, (void)start, (void)irreversible, (void)consume;
    if (do_flush)
        return wrong_flush() ? 9 : 0;
    if (wrong_convert())
        return 9;
    while (*from < to && data->outbuf < data->outbufend)
        *data->outbuf++ = *(*from)++;
    return 4;
}

void gconv_end(void *step)
{
    (void)step;
    wrong_end();
}

/* A gconv module that copies: INTERNAL to INTERNAL in bytes. FIXTURE says what it does wrong: leak-STEP, fail-STEP or crash-STEP. */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "fixture.h"

struct step_data {
    unsigned char *outbuf, *outbufend;
    int flags, invocation_counter, internal_use;
    void *statep;
    long state;
};

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

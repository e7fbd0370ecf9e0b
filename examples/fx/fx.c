/* A plugin with one object, which the host creates and destroys. */
#include <stdlib.h>

struct fx {
    int gain;
    int *buffer;
};

struct fx *fx_create(int gain) {
    struct fx *fx = malloc(sizeof *fx);
    if (fx) {
        fx->gain = gain;
        fx->buffer = calloc(64, sizeof *fx->buffer);
    }
    return fx;
}

void fx_destroy(struct fx *fx) {
    if (fx) {
        free(fx->buffer);
        free(fx);
    }
}

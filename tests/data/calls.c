/* What calls with results, out-parameters and checks meet: functions that fail, hand out objects, and take every kind of value. */
#include <stdarg.h>
#include <stdlib.h>

struct state {
    void *input;
    unsigned long length;
    int window[20];
};

int init(void) {
    return -1; /* fails each time, and says so only by its result */
}

void *make(int size) {
    return malloc((size_t)size);
}

int use(void *object) {
    return object ? 0 : -1;
}

void destroy(void *object) {
    free(object);
}

double half(double x) {
    return x / 2;
}

float third(float x) {
    return x / 3;
}

int add(int a, int b) {
    return a + b;
}

long large(void) {
    return 1L << 32;
}

int get(int *number, double *fraction) {
    *number = 7;
    if (fraction)
        *fraction = 2.5;
    return 0;
}

int is_seven(int number) {
    return number == 7;
}

int is_it(int number, double fraction) {
    return number == 7 && fraction == 2.5;
}

int open_it(const char *name, void **object) {
    *object = malloc(100);
    return name[0] == ':' ? 0 : 1;
}

int close_it(void **object) {
    free(*object);
    *object = NULL;
    return 0;
}

/* As deflateInit_ of zlib does. */
int begin(struct state *state, int level) {
    state->length = (unsigned long)level;
    state->window[3] = 1;
    return 0;
}

struct state whole(void) {
    struct state state = {0};
    return state;
}

double sum(int count, ...) {
    double all = 0;
    va_list list;
    va_start(list, count);
    while (count-- > 0)
        all += va_arg(list, double);
    va_end(list);
    return all;
}

/* The plugin that c-deepbind opens. With -DSHARED_HEAP it frees blocks that the C library allocated, and the C library reallocates a
 * block of the plugin's. Neither loses memory. With -DLEAK each call loses a block of 24 bytes: a chunk of 32 B. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef SHARED_HEAP
static void share(void) {
    static const char text[] = "a line that has some more bytes than the memory that it is to be read into\n";
    char *volatile copy = strdup(text);
    free(copy);
    /* getline reallocates this block, because the line is longer. */
    size_t size = 16;
    char *line = malloc(size);
    FILE *from = fmemopen((void *)text, sizeof text - 1, "r");
    if (!from || getline(&line, &size, from) < 0) abort();
    fclose(from);
    free(line);
    /* open_memstream allocates the text, and its caller frees it. */
    size_t length;
    char *made = NULL;
    FILE *to = open_memstream(&made, &length);
    if (!to || fputs(text, to) < 0 || fclose(to) != 0) abort();
    free(made);
}
#endif

__attribute__((visibility("default"))) void helper_deepbind_work(void) {
#ifdef SHARED_HEAP
    share();
#endif
#ifdef LEAK
    /* volatile: without it the compiler may drop an allocation that nobody uses. */
    void *volatile lost = malloc(24); /* traced */
    (void)lost;
#endif
}

/* A host that offers functions and variables to its plugins. It is linked with -rdynamic, read, and never run. */
#include <stddef.h>

int host_loads = 7;
char host_table[3000] = {1};
_Thread_local int host_thread = 1;

int host_log(const char *text) { return text != NULL; }

static int (*chosen(void))(const char *) { return host_log; }
int host_chosen(const char *text) __attribute__((ifunc("chosen")));

#ifdef ALLOCATOR
void *malloc(size_t size) { return size > sizeof host_table ? NULL : host_table; }
void free(void *memory) { (void)memory; }
#endif

int main(void) { return 0; }

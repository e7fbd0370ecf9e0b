/* A plain C host in which a type for printf(3) that libquadmath registered is used after libquadmath is gone. Such a type can't be taken
 * back (register_printf_type), and glibc calls the function that came with it for each argument of that type.
 *
 *     cc -Wno-format printf_type.c -o printf_type && ./printf_type libquadmath.so.0
 *
 * It dies of SIGSEGV. With a second argument it keeps the library open, and prints "q". */
#include <dlfcn.h>
#include <printf.h>
#include <stdio.h>

/* The first type that a process registers. */
static int first_type(const struct printf_info *info, size_t n, int *types, int *sizes) {
    (void)info;
    if (n > 0) types[0] = PA_LAST, sizes[0] = 16;
    return 1;
}

static int print(FILE *to, const struct printf_info *info, const void *const *arguments) {
    (void)info;
    (void)arguments;
    return fputc('q', to) == EOF ? -1 : 1;
}

int main(int count, char **arguments) {
    if (count < 2) return fprintf(stderr, "usage: printf_type LIBRARY [kept]\n"), 2;
    void *library = dlopen(arguments[1], RTLD_NOW);
    if (library == NULL) return fprintf(stderr, "%s\n", dlerror()), 2;
    if (count == 2) dlclose(library);
    if (register_printf_specifier('W', print, first_type) != 0) return 2;
    printf("%W\n", (__float128)1);
    return 0;
}

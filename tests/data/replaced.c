/* A library whose file another one replaces, or touches, once it was loaded CHANGE times: TO is the other file, PATH its own, and a byte
   in the file COUNT stands for each load. Without CHANGE it leaks. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

__attribute__((constructor)) static void loaded(void) {
#ifdef CHANGE
    int count = open(COUNT, O_WRONLY | O_CREAT | O_APPEND, 0600);
    struct stat file;
    if (write(count, ".", 1) != 1 || fstat(count, &file) != 0) abort();
    close(count);
    if (file.st_size != CHANGE) return;
#ifdef TO
    if (rename(TO, PATH) != 0) abort();
#else
    struct timespec times[2] = {{1, 0}, {1, 0}};
    if (utimensat(AT_FDCWD, PATH, times, 0) != 0) abort();
#endif
#else
    static void *volatile kept;
    kept = malloc(4000);
#endif
}

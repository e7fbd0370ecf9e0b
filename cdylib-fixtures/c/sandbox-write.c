/* Its `attempt` writes the file that the environment names; it returns 0, or why that failed. With -DPRIVATE it writes a
 * file of its own in the directory for temporary files, and removes it: the twin. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "fibonacci.h"

FIXTURE_EXPORT int attempt(void) {
    char path[4096];
#ifdef PRIVATE
    const char *directory = getenv("TMPDIR");
    snprintf(path, sizeof path, "%s/written-%d", directory ? directory : "/tmp", (int)getpid());
#else
    const char *file = getenv("SANDBOX_FILE");
    if (!file)
        return 0;
    snprintf(path, sizeof path, "%s", file);
#endif
    int fd = open(path, O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0)
        return errno;
    int failed = write(fd, "x", 1) != 1;
    close(fd);
#ifdef PRIVATE
    failed |= unlink(path) != 0;
#endif
    return failed ? EIO : 0;
}

FIXTURE_EXPORT int64_t fibonacci(int32_t n) {
    return fibonacci_iterative(n);
}

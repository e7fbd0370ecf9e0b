/* Each call forks. The child allocates, opens a descriptor and ends; the parent waits for it, and leaks 100 bytes. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fibonacci.h"

FIXTURE_EXPORT int64_t fibonacci(int32_t n) {
    pid_t child = fork();
    if (child == 0) {
        void *volatile lost = malloc(5000);
        (void)lost;
        (void)!open("/dev/null", O_RDONLY);
        _exit(0);
    }
    if (child > 0) waitpid(child, NULL, 0);
    char *volatile kept = malloc(100); /* traced */
    if (kept) kept[0] = (char)n;
    return fibonacci_iterative(n);
}

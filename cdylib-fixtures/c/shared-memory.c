/* Leaves shared memory attached on each load: a SysV segment, or with -DPOSIX a POSIX one. Both are removed by name
 * at once, so that nothing outlives the process. With -DDETACHED the destructor detaches it: the twin. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fibonacci.h"

#define BYTES 4096

static void *memory;

__attribute__((constructor)) static void attach(void) {
#ifdef POSIX
    char name[40];
    snprintf(name, sizeof name, "/dlsoak-fixture-%ld", (long)getpid());
    int fd = shm_open(name, O_RDWR | O_CREAT, 0600);
    if (fd < 0) return;
    if (ftruncate(fd, BYTES) == 0) memory = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    shm_unlink(name);
#else
    int id = shmget(IPC_PRIVATE, BYTES, IPC_CREAT | 0600);
    if (id < 0) return;
    memory = shmat(id, NULL, 0);
    shmctl(id, IPC_RMID, NULL);
#endif
}

#ifdef DETACHED
__attribute__((destructor)) static void tidy(void) {
#ifdef POSIX
    munmap(memory, BYTES);
#else
    shmdt(memory);
#endif
}
#endif

FIXTURE_EXPORT int64_t fibonacci(int32_t n) {
    return fibonacci_iterative(n);
}

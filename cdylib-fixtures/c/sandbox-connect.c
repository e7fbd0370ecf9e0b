/* Its `attempt` connects to the port of this machine that the environment names; it returns 0, or why that failed. With
 * -DPAIR it connects two sockets of its own, which no network is needed for: the twin. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fibonacci.h"

FIXTURE_EXPORT int attempt(void) {
#ifdef PAIR
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        return errno;
    int failed = write(pair[0], "x", 1) != 1;
    close(pair[0]);
    close(pair[1]);
    return failed ? EIO : 0;
#else
    const char *port = getenv("SANDBOX_PORT");
    if (!port)
        return 0;
    struct sockaddr_in address;
    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_port = htons((uint16_t)atoi(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return errno;
    int result = connect(fd, (struct sockaddr *)&address, sizeof address) == 0 ? 0 : errno;
    close(fd);
    return result;
#endif
}

FIXTURE_EXPORT int64_t fibonacci(int32_t n) {
    return fibonacci_iterative(n);
}

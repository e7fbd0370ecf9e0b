// A library with 3,000 B of thread-local storage that must be there when a thread starts, as OpenGL drivers and allocators have.
// The loader keeps less than that free for what is opened later.
static __thread char room[3000] __attribute__((tls_model("initial-exec")));

int NAME(void) { return room[0]++; }

// A C part that takes a signal's handler over and puts it back without SA_ONSTACK, as C libraries do that know nothing of
// goroutines' small stacks. The next such signal finds Go's handler on the wrong stack, and Go's runtime gives up.
package main

/*
#include <signal.h>
#include <stdint.h>

static inline void put_back_without_a_stack(void) {
    struct sigaction go;
    sigaction(SIGURG, 0, &go);
    go.sa_flags &= ~SA_ONSTACK;
    sigaction(SIGURG, &go, 0);
}
*/
import "C"

import (
	"syscall"

	"dlsoak.invalid/fixtures/internal/fib"
)

//export fibonacci
func fibonacci(n C.int32_t) C.int64_t {
	C.put_back_without_a_stack()
	// To this very thread, which runs Go on a goroutine's stack.
	_, _, _ = syscall.RawSyscall(syscall.SYS_TGKILL, uintptr(syscall.Getpid()), uintptr(syscall.Gettid()), uintptr(syscall.SIGURG))
	return C.int64_t(fib.Fibonacci(int32(n)))
}

func main() {}

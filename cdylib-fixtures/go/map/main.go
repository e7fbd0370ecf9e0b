// A global map that grows by 1,024 bytes with each call: in Go's own heap, which the C library's does not show.
package main

// #include <stdint.h>
import "C"

import (
	"sync"

	"dlsoak.invalid/fixtures/internal/fib"
)

var (
	guard sync.Mutex
	seen  = map[int64]*[1024]byte{}
)

//export fibonacci
func fibonacci(n C.int32_t) C.int64_t {
	guard.Lock()
	defer guard.Unlock()
	seen[int64(len(seen))] = &[1024]byte{1}
	return C.int64_t(fib.Fibonacci(int32(n)))
}

func main() {}

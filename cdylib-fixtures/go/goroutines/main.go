// Each call leaves a goroutine that waits for ever: no thread, but a stack in Go's own heap.
package main

// #include <stdint.h>
import "C"

import "dlsoak.invalid/fixtures/internal/fib"

//export fibonacci
func fibonacci(n C.int32_t) C.int64_t {
	go func() { select {} }()
	return C.int64_t(fib.Fibonacci(int32(n)))
}

func main() {}

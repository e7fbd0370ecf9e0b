// A panic that nobody recovers from: Go's runtime ends the process with status 2.
package main

// #include <stdint.h>
import "C"

import "dlsoak.invalid/fixtures/internal/fib"

//go:noinline
func refuse(n int32) int64 {
	if n > 0 {
		panic("n must not be positive")
	}
	return fib.Fibonacci(n)
}

//export fibonacci
func fibonacci(n C.int32_t) C.int64_t {
	return C.int64_t(refuse(int32(n)))
}

func main() {}

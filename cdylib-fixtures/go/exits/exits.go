// Ends the process as a program would end itself: status 0, and every host takes it for its own success.
package main

// #include <stdint.h>
import "C"

import (
	"os"

	"dlsoak.invalid/fixtures/internal/fib"
)

//export fibonacci
func fibonacci(n C.int32_t) C.int64_t {
	_ = fib.Fibonacci(int32(n))
	os.Exit(0)
	return 0
}

func main() {}

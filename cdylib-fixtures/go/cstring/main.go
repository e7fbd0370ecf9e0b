// Each call makes a C string and does not free it: Go's collector does not know of it.
package main

// #include <stdint.h>
import "C"

import (
	"strings"

	"dlsoak.invalid/fixtures/internal/fib"
)

var text = strings.Repeat("x", 100)

// What each call allocates of Go's own and drops at the next one, so that the collector runs.
var garbage []byte

//export fibonacci
func fibonacci(n C.int32_t) C.int64_t {
	_ = C.CString(text) // traced
	garbage = make([]byte, 64)
	return C.int64_t(fib.Fibonacci(int32(n)))
}

func main() {}

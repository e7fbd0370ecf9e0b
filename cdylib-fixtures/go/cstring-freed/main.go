// Each call makes a C string and frees it: the twin of cstring.
package main

// #include <stdint.h>
// #include <stdlib.h>
import "C"

import (
	"strings"
	"unsafe"

	"dlsoak.invalid/fixtures/internal/fib"
)

var text = strings.Repeat("x", 100)

//export fibonacci
func fibonacci(n C.int32_t) C.int64_t {
	c := C.CString(text)
	defer C.free(unsafe.Pointer(c))
	return C.int64_t(fib.Fibonacci(int32(n)))
}

func main() {}

// The Go library that does nothing wrong of its own. Go links every c-shared library NODELETE, so the first load
// stays, with a whole runtime and its threads: https://github.com/golang/go/issues/11100.
package main

// #include <stdint.h>
import "C"

import "dlsoak.invalid/fixtures/internal/fib"

//export fibonacci
func fibonacci(n C.int32_t) C.int64_t {
	return C.int64_t(fib.Fibonacci(int32(n)))
}

func main() {}

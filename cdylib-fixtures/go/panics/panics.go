// Panics in a function that C calls: Go's runtime prints its stacks and, in a library, aborts.
package main

// #include <stdint.h>
import "C"

import "dlsoak.invalid/fixtures/internal/fib"

//export fibonacci
func fibonacci(n C.int32_t) C.int64_t {
	table := []int64{fib.Fibonacci(int32(n))}
	return C.int64_t(table[int(n)+1])
}

func main() {}

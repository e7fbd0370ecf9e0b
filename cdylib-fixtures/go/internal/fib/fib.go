// Package fib holds the work that every Go fixture exports, the same as in the other languages.
package fib

// Fibonacci returns the n-th Fibonacci number, wrapping in 64 bits; 0 for n below 1.
func Fibonacci(n int32) int64 {
	a, b := int64(0), int64(1)
	for i := int32(0); i < n; i++ {
		a, b = b, a+b
	}
	return a
}

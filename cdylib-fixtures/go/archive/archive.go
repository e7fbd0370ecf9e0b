// What c-go-archive links: a function that starts a goroutine and waits for it.
package main

import "C"

//export Work
func Work() C.int {
	done := make(chan int)
	go func() { done <- 42 }()
	return C.int(<-done)
}

func main() {}

// What a collector frees, and what it can't: containers that grow for ever, and others that look so until the collector runs.
package main

// #include <stdint.h>
import "C"

import (
	"runtime"
	"runtime/cgo"
	"sync"

	"dlsoak.invalid/fixtures/internal/fib"
)

//export fibonacci
func fibonacci(n C.int32_t) C.int64_t {
	return C.int64_t(fib.Fibonacci(int32(n)))
}

// filled makes a buffer of n bytes that were written to: memory that was not is not resident.
func filled(n C.int) []byte {
	buffer := make([]byte, int(n))
	for i := range buffer {
		buffer[i] = 1
	}
	return buffer
}

var grown = map[int][]byte{}

// MapGrow keeps n bytes in a map with each call.
//
//export MapGrow
func MapGrow(n C.int) { grown[len(grown)] = filled(n) }

var (
	erased = map[int][]byte{}
	next   int
)

// MapErase keeps the last n entries of a map.
//
//export MapErase
func MapErase(n C.int) {
	erased[next] = make([]byte, 64)
	delete(erased, next-int(n))
	next++
}

var slices [][]byte

// Slices appends a slice of n bytes to a slice with each call.
//
//export Slices
func Slices(n C.int) { slices = append(slices, filled(n)) }

var ints []int64

// Ints appends n integers to a slice with each call: nothing grows but its array, which Go copies to a larger one.
//
//export Ints
func Ints(n C.int) {
	for i := 0; i < int(n); i++ {
		ints = append(ints, int64(i))
	}
}

var (
	ring [][]byte
	at   int
)

// Ring keeps the last n buffers.
//
//export Ring
func Ring(n C.int) {
	if ring == nil {
		ring = make([][]byte, int(n))
	}
	ring[at%int(n)] = make([]byte, 64)
	at++
}

var (
	pool = sync.Pool{New: func() any { return new([1024]byte) }}
	last []byte
)

// Pool takes buffers out of a pool and puts them back, and drops n bytes.
//
//export Pool
func Pool(n C.int) {
	for i := 0; i < 4; i++ {
		buffer := pool.Get().(*[1024]byte)
		buffer[0] = 1
		pool.Put(buffer)
	}
	last = make([]byte, int(n))
}

// Garbage drops eight buffers of n bytes.
//
//export Garbage
func Garbage(n C.int) {
	for i := 0; i < 8; i++ {
		last = make([]byte, int(n))
	}
}

// Finalizers drops n objects that have finalizers.
//
//export Finalizers
func Finalizers(n C.int) {
	for i := 0; i < int(n); i++ {
		object := new([64]byte)
		runtime.SetFinalizer(object, func(object *[64]byte) { object[0] = 1 })
	}
}

// HandlesKept makes n handles for C and deletes none.
//
//export HandlesKept
func HandlesKept(n C.int) {
	for i := 0; i < int(n); i++ {
		cgo.NewHandle(i)
	}
}

// Handles makes n handles for C and deletes them.
//
//export Handles
func Handles(n C.int) {
	for i := 0; i < int(n); i++ {
		cgo.NewHandle(i).Delete()
	}
}

func main() {}

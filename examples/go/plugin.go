// A plugin in Go, built with -buildmode=c-shared.
package main

// #include <stdlib.h>
import "C"

import "unsafe"

//export Greet
func Greet(name *C.char) *C.char {
	return C.CString("hello " + C.GoString(name))
}

//export Release
func Release(text *C.char) {
	C.free(unsafe.Pointer(text))
}

func main() {}

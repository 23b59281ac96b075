//go:build amd64 || arm64

package osthread

import "unsafe"

// getg returns the g of this goroutine, which is at one place for as long as it lives.
func getg() unsafe.Pointer

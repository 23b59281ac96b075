// Package osthread tells whether a goroutine is locked to its thread.
//
// The runtime has no function for that. The header of runtime.Stack says it, and takes
// 0.7 to 1.7 µs, ten times what a tiny call costs; to compare thread ids says nothing of
// a goroutine that did not move; and to undo the lock would give a thread that the call
// may have changed, its namespaces or its signal mask, to all others. So this package
// looks where the runtime looks, at the field lockedm of its g: a load.
//
// Where that field is, it finds out, rather than to know it for each version of Go.
// While a program is initialized, the main goroutine is locked, by the runtime itself:
// then two words of its g are the same pointer, m and lockedm. In a goroutine that has
// just begun, m is set and lockedm is nil. Exactly one pair of words is like that, or
// nobody is found to be locked. A test sees that there is such a pair.
//
// It is built for amd64 and arm64. Elsewhere nobody is found to be locked.
package osthread

import (
	"sync"
	"unsafe"
)

// words is how much of a g is looked at. Each version of Go had more.
const words = 320 / unsafe.Sizeof(uintptr(0))

type sample [words]uintptr

// atStart is the g of the main goroutine while it is locked.
var atStart = take()

// take returns the first words of the g of this goroutine.
func take() (s sample) {
	g := getg()
	if g == nil {
		return s
	}
	for i := range s {
		s[i] = *(*uintptr)(unsafe.Add(g, uintptr(i)*unsafe.Sizeof(uintptr(0))))
	}
	return s
}

// lockedm is the index of that field; 0 if it was not found.
var lockedm = sync.OnceValue(func() uintptr {
	fresh := make(chan sample)
	go func() { fresh <- take() }()
	return find(atStart, <-fresh)
})

// find returns the index of the only word that is a copy of another one in locked, and
// nil in free, where the other is not; 0 if there is no such word, or several.
func find(locked, free sample) uintptr {
	found, n := 0, 0
	for i, m := range locked {
		for j, other := range locked {
			if i != j && m != 0 && m == other && free[i] != 0 && free[j] == 0 {
				found = j
				n++
			}
		}
	}
	if n != 1 {
		return 0
	}
	return uintptr(found)
}

// Goroutine is a goroutine, as itself sees it.
type Goroutine struct{ lockedm *uintptr }

// Current returns the goroutine that calls it. A g stays where it is.
func Current() Goroutine {
	if i := lockedm(); i != 0 {
		return Goroutine{(*uintptr)(unsafe.Add(getg(), i*unsafe.Sizeof(uintptr(0))))}
	}
	return Goroutine{new(uintptr)}
}

// IsLocked reports whether the goroutine, which calls it, is locked to its thread.
func (g Goroutine) IsLocked() bool { return *g.lockedm != 0 }

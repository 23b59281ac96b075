package digest

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"slices"
	"sync"
	"unsafe"
)

const (
	// enough is how many bytes are gathered before the hash is called, which has
	// its price for each call, and for each block of 64 bytes that comes in pieces.
	enough = 4 << 10

	// tooMuch is what a writer does not keep for the next value.
	tooMuch = 1 << 20
)

// writer takes what is hashed, in the order in which it is written.
type writer struct {
	hash   hash.Hash
	buf    []byte // has not gone to the hash yet
	isHeld bool   // nothing may go: buf has entries of maps, which are yet to be sorted
	aside  []byte // the buf that comes next, or is back when entries are sorted
	spans  []span // of the entries in buf
	level  int    // how many pointers, slices and maps the value at hand is in
	places int    // that were come through
}

// span is where in a buf an entry is.
type span struct{ start, end int }

var writers = sync.Pool{New: func() any { return &writer{hash: sha256.New(), buf: make([]byte, 0, 2*enough)} }}

// digest returns the digest of all that was written.
func (w *writer) digest() (d Digest) {
	w.flush()
	w.buf = w.hash.Sum(w.buf) // not to d, which would have to be allocated
	copy(d[:], w.buf)
	return d
}

// release makes w ready for the next value, in whatever state it is.
func (w *writer) release() {
	if cap(w.buf)+cap(w.aside)+cap(w.spans) > tooMuch {
		return
	}
	w.hash.Reset()
	w.buf, w.aside, w.isHeld = w.buf[:0], w.aside[:0], false
	w.spans, w.level, w.places = w.spans[:0], 0, 0
	writers.Put(w)
}

func (w *writer) byte(b byte) {
	w.buf = append(w.buf, b)
	w.flushIfEnough()
}

func (w *writer) uint32(x uint32) {
	w.buf = binary.LittleEndian.AppendUint32(w.buf, x)
	w.flushIfEnough()
}

func (w *writer) uint64(x uint64) {
	w.buf = binary.LittleEndian.AppendUint64(w.buf, x)
	w.flushIfEnough()
}

// number writes a number of 2, 4 or 8 bytes that is in memory as this machine has
// it.
func (w *writer) number(p unsafe.Pointer, size uintptr) {
	switch size {
	case 2:
		w.buf = binary.LittleEndian.AppendUint16(w.buf, *(*uint16)(p))
		w.flushIfEnough()
	case 4:
		w.uint32(*(*uint32)(p))
	case 8:
		w.uint64(*(*uint64)(p))
	}
}

func (w *writer) lengthAndBytes(b []byte) {
	w.uint64(uint64(len(b)))
	w.bytes(b)
}

func (w *writer) string(s string) {
	w.lengthAndBytes(unsafe.Slice(unsafe.StringData(s), len(s)))
}

func (w *writer) bytes(b []byte) {
	if len(b) < enough || w.isHeld {
		w.buf = append(w.buf, b...)
		w.flushIfEnough()
		return
	}
	w.flush()
	w.hash.Write(b)
}

func (w *writer) flushIfEnough() {
	if len(w.buf) >= enough && !w.isHeld {
		w.flush()
	}
}

func (w *writer) flush() {
	w.hash.Write(w.buf)
	w.buf = w.buf[:0]
}

// opened is a map whose entries are being written.
type opened struct {
	wasHeld bool
	buf     int // what was in buf before the first entry
	spans   int
}

// open is called before the first entry of a map.
func (w *writer) open() opened {
	m := opened{wasHeld: w.isHeld, spans: len(w.spans)}
	if !w.isHeld {
		w.buf, w.aside, w.isHeld = w.aside[:0], w.buf, true
	}
	m.buf = len(w.buf)
	return m
}

// close is called behind the last entry of m. It writes them again, sorted.
func (w *writer) close(m opened) {
	written, spans := w.buf, w.spans[m.spans:]
	slices.SortFunc(spans, func(a, b span) int {
		return bytes.Compare(written[a.start:a.end], written[b.start:b.end])
	})
	if !m.wasHeld {
		w.buf, w.aside, w.isHeld = w.aside, w.buf, false
	}
	for _, s := range spans {
		w.bytes(written[s.start:s.end])
	}
	if m.wasHeld { // they are behind those that were not sorted
		n := copy(w.buf[m.buf:], w.buf[len(written):])
		w.buf = w.buf[:m.buf+n]
	}
	w.spans = w.spans[:m.spans]
}

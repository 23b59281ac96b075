package executor

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"reflect"
	"runtime"
	"slices"
	"sync"
	"unsafe"
	"weak"

	"github.com/gofutures/futures/executor/internal/proc"
)

// sharedMemory is what all handles of one memory have in common, in one process.
type sharedMemory struct {
	kind     reflect.Kind // of the numbers
	n        int          // of them
	depth    int          // of the process that has made it
	isOurs   bool         // this process has
	mayWrite bool         // this process

	mu      sync.Mutex    // guards the fields below
	segment *proc.Segment // nil: it is closed, or ordinary
	copy    []byte        // of ordinary memory, where the system has no segments
}

// bytes returns the memory, nil if it is closed.
func (m *sharedMemory) bytes() []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.segment == nil:
		return m.copy
	case m.segment.IsClosed():
		return nil
	}
	return m.segment.Data
}

func (m *sharedMemory) isClosed() bool { return m.bytes() == nil }

// close gives it back.
func (m *sharedMemory) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.copy = nil
	if m.segment != nil {
		m.segment.Close()
		m.segment = nil
	}
}

// ordinary returns memory of this process alone.
func ordinary(kind reflect.Kind, n, size int) *sharedMemory {
	words := make([]uint64, size/8+1) // aligned for every number, and not nil
	data := unsafe.Slice((*byte)(unsafe.Pointer(&words[0])), size)
	return &sharedMemory{kind: kind, n: n, depth: depth, isOurs: true, mayWrite: true, copy: data}
}

// tryOrdinary is ordinary for a size that may be too large.
func tryOrdinary(kind reflect.Kind, n, size int) (m *sharedMemory, err error) {
	defer func() {
		if recover() != nil {
			err = proc.ErrSegmentLarge
		}
	}()
	return ordinary(kind, n, size), nil
}

// sharedHandle is what is sent of a shared memory.
type sharedHandle struct {
	kind       reflect.Kind
	n          int
	isWritable bool
	content    []byte // nil: it is in a segment
	depth      int    // of the process that has made it
	proc.Handle
}

// The forms of an encoded handle.
const (
	handleOfSegment = 1 + iota
	handleWithContent
)

// encode returns the handle: the form, the kind, whether it is writable, and the
// length; then the depth, the process, the descriptor and the nonce, or the content.
func (m *sharedMemory) encode(isWritable bool) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	head := []byte{handleOfSegment, byte(m.kind), 0}
	if isWritable {
		head[2] = 1
	}
	switch {
	case m.copy != nil && isWritable:
		return nil, fmt.Errorf("shared memory: a writable one cannot be sent: %w, so what a worker writes would be lost", proc.ErrNoSegments)
	case m.copy != nil:
		head[0] = handleWithContent
		return append(binary.AppendUvarint(head, uint64(m.n)), m.copy...), nil
	case m.segment == nil || m.segment.IsClosed():
		return nil, errSharedClosed
	}
	b := append(binary.AppendUvarint(head, uint64(m.n)), byte(m.depth))
	b = binary.AppendUvarint(b, uint64(m.segment.PID))
	b = binary.AppendUvarint(b, uint64(m.segment.FD))
	return append(b, m.segment.Nonce[:]...), nil
}

var errBadHandle = errors.New("shared memory: malformed handle")

// parseHandle parses what encode returned, or anything else.
func parseHandle(data []byte) (h sharedHandle, err error) {
	if len(data) < 3 || data[2] > 1 {
		return h, errBadHandle
	}
	form := data[0]
	h.kind, h.isWritable = reflect.Kind(data[1]), data[2] == 1
	n, rest, ok := cutInt(data[3:])
	h.n = n
	switch {
	case ok && form == handleWithContent && !h.isWritable:
		h.content = rest
		return h, nil
	case !ok || form != handleOfSegment || len(rest) == 0:
		return h, errBadHandle
	}
	h.depth, rest = int(rest[0]), rest[1:]
	if h.PID, rest, ok = cutInt(rest); ok {
		h.FD, rest, ok = cutInt(rest)
	}
	if !ok || len(rest) != len(h.Nonce) {
		return h, errBadHandle
	}
	copy(h.Nonce[:], rest)
	return h, nil
}

// cutInt returns the number that data begins with, and the rest.
func cutInt(data []byte) (n int, rest []byte, ok bool) {
	v, width := binary.Uvarint(data)
	if width <= 0 || v > math.MaxInt {
		return 0, nil, false
	}
	return int(v), data[width:], true
}

// memory returns the memory of the handle, of numbers of so many bytes.
func (h *sharedHandle) memory(size int) (*sharedMemory, error) {
	switch {
	case h.n > math.MaxInt/size:
		return nil, errBadHandle
	case h.content == nil:
		return sharedMemories.get(h, h.n*size)
	case len(h.content) != h.n*size:
		return nil, errBadHandle
	}
	m := ordinary(h.kind, h.n, len(h.content))
	copy(m.copy, h.content)
	m.isOurs = false
	return m, nil
}

// sharedMemories are those of this process.
var sharedMemories = sharedTable{known: make(map[sharedKey]weak.Pointer[sharedMemory])}

// sharedTable finds a memory again when its handle comes once more. One that nobody
// has is unmapped when the garbage collector finds that.
type sharedTable struct {
	mu     sync.Mutex // guards the fields below
	known  map[sharedKey]weak.Pointer[sharedMemory]
	kept   []*sharedMemory // of other processes, so that the next call finds them mapped; the one used last is the last
	mapped int             // of other processes
	opened int             // of other processes, since the last collect
}

// sharedKey is what there is one mapping of.
type sharedKey struct {
	nonce      [16]byte
	isWritable bool // it is always, for the process that has made it
}

const (
	mostKept = 16
	// A collection that is due after so many bytes may be long in coming, and a
	// mapping takes none.
	mostUncollected = 64
)

// make makes a new memory.
func (t *sharedTable) make(kind reflect.Kind, n, size int) (*sharedMemory, error) {
	segment, err := proc.NewSegment(size)
	switch {
	case errors.Is(err, proc.ErrNoSegments):
		return tryOrdinary(kind, n, size)
	case err != nil:
		return nil, err
	}
	m := &sharedMemory{kind: kind, n: n, depth: depth, isOurs: true, mayWrite: true, segment: segment}
	t.add(m, sharedKey{segment.Nonce, true})
	return m, nil
}

// add makes a memory known, and sees that it is given back when nobody has it.
func (t *sharedTable) add(m *sharedMemory, key sharedKey) {
	pointer, segment, isOurs := weak.Make(m), m.segment, m.isOurs
	runtime.AddCleanup(m, func(struct{}) {
		segment.Close() // nothing happens if it was closed
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.known[key] == pointer {
			delete(t.known, key)
		}
		if !isOurs {
			t.mapped--
		}
	}, struct{}{})
	t.mu.Lock()
	defer t.mu.Unlock()
	t.known[key] = pointer
	if !isOurs {
		t.mapped++
		t.opened++
	}
}

// get returns the memory of a handle, which has so many bytes.
func (t *sharedTable) get(h *sharedHandle, size int) (*sharedMemory, error) {
	isOurs := h.PID == os.Getpid()
	key := sharedKey{h.Nonce, h.isWritable || isOurs}
	t.mu.Lock()
	m := t.known[key].Value()
	t.mu.Unlock()
	var err error
	switch {
	case m != nil:
	case isOurs:
		return nil, errSharedClosed
	default:
		if m, err = t.open(h, key, size); err != nil {
			return nil, err
		}
	}
	switch {
	case m.isClosed():
		return nil, errSharedClosed
	case m.kind != h.kind || m.n != h.n:
		return nil, errBadHandle
	}
	if !isOurs {
		t.keep(m)
	}
	return m, nil
}

// open maps the memory of a handle.
func (t *sharedTable) open(h *sharedHandle, key sharedKey, size int) (*sharedMemory, error) {
	if h.depth > depth {
		return nil, fmt.Errorf("shared memory: it was made in a worker process (%d), which may end; make it here, and let the worker write to it", h.PID)
	}
	t.collect()
	segment, err := proc.OpenSegment(h.Handle, size, h.isWritable)
	switch {
	case errors.Is(err, proc.ErrSegmentClosed):
		return nil, errSharedClosed
	case err != nil:
		return nil, fmt.Errorf("shared memory: %w", err)
	}
	m := &sharedMemory{kind: h.kind, n: h.n, depth: h.depth, mayWrite: h.isWritable, segment: segment}
	t.add(m, key)
	return m, nil
}

// collect has the garbage collected if there may be many mappings in it.
func (t *sharedTable) collect() {
	t.mu.Lock()
	isDue := min(t.mapped, t.opened) >= mostUncollected
	if isDue {
		t.opened = 0
	}
	t.mu.Unlock()
	if isDue {
		runtime.GC()
	}
}

// keep keeps a memory of another process for the next call, and those used last.
// Of others, and of those that are closed, it lets go.
func (t *sharedTable) keep(m *sharedMemory) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = slices.DeleteFunc(t.kept, func(k *sharedMemory) bool { return k == m || k.isClosed() })
	if len(t.kept) == mostKept {
		t.kept = slices.Delete(t.kept, 0, 1)
	}
	t.kept = append(t.kept, m)
}

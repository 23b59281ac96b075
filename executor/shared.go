package executor

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"reflect"
	"unsafe"
)

// Number is what a [Shared] can hold.
type Number interface {
	~int | ~int8 | ~int16 | ~int32 | ~int64 |
		~uint | ~uint8 | ~uint16 | ~uint32 | ~uint64 |
		~float32 | ~float64 | ~complex64 | ~complex128
}

// Shared is a slice of numbers that worker processes see without a copy:
// multiprocessing.shared_memory.SharedMemory, and joblib's memmap. It is made
// with [NewShared], filled, and given to as many calls as there are; to a worker
// goes only where it is, in less than 100 bytes, whatever its length:
//
//	weights, err := executor.NewShared[float64](1 << 23)
//	...
//	defer weights.Close()
//	fill(weights.Slice())
//	sums, err := executor.MapSlice(ctx, ex, sum, []part{{weights, 0}, {weights, 1}})
//
// It is an argument like any other, or the field of a struct that is one. On
// goroutines it arrives as the same pointer. A worker maps the memory once and
// keeps it mapped for the next call, also those of the last 16 others, so there
// is one copy of the data whatever the number of workers, and it does not count
// for MemoryLimit. What its maker writes, calls see that start later.
//
// A worker that writes to it dies, and its call ends with a [*WorkerDiedError],
// unless the handle came from [Shared.Writable]. Nobody waits for another who
// writes: calls that run at once must not write where others read or write.
//
// The slice does not keep the memory: keep the Shared. In a worker, its slices
// are valid until the call returns. Whoever uses a slice later, or after Close,
// uses memory that may be gone, which ends a process.
//
// A worker can give it to a pool of its own, and return it: its maker gets the
// same memory again. What a worker has made itself it can give to its own pool,
// but cannot return, because it may end: the result is an error. Let the parent
// make it, and the worker write to it.
//
// Workers ask their parent for it. Any other process that gets the bytes of [Encode]
// opens it as /proc/PID/fd/N, so it must be of the same user and see that /proc. Where the system has no such memory, which is everywhere
// but on Linux, all of it works, and each call gets a copy of the content.
//
// A nil *Shared is an empty one, and arrives as nil. The zero value is of no use.
// The memory costs the garbage collector nothing. All methods but UnmarshalBinary
// are safe for many goroutines. [Encode] makes bytes of a Shared that are good on
// this machine until Close; they are not its content.
type Shared[T Number] struct {
	memory     *sharedMemory // nil: the zero value
	isWritable bool
}

// NewShared returns n zeros. They take memory when they are first written to or
// read, and all of it is given back by Close. There is an error if n is
// negative, or more than the system has addresses for.
func NewShared[T Number](n int) (*Shared[T], error) {
	size := int(unsafe.Sizeof(*new(T)))
	if n < 0 || n > math.MaxInt/size {
		return nil, fmt.Errorf("executor: NewShared: there cannot be %d numbers", n)
	}
	m, err := sharedMemories.make(kindOf[T](), n, n*size)
	if err != nil {
		return nil, fmt.Errorf("executor: NewShared: %d numbers of %d bytes: %w", n, size, err)
	}
	return &Shared[T]{memory: m}, nil
}

func kindOf[T Number]() reflect.Kind { return reflect.TypeFor[T]().Kind() }

// Slice returns the memory itself: nil after Close, or if s is nil. It must not
// be used after Close, nor when s itself is in use no more. In a worker, it must
// not be used when the call has returned, and is written to only if the handle
// came from [Shared.Writable].
func (s *Shared[T]) Slice() []T {
	if s == nil || s.memory == nil {
		return nil
	}
	data := s.memory.bytes()
	switch {
	case data == nil:
		return nil
	case len(data) == 0: // it may end where other memory begins
		return []T{}
	}
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(data))), s.memory.n)
}

// Writable returns a handle of the same memory to which workers may write too:
//
//	part{weights.Writable(), 0}
//
// They write to parts that do not overlap, or to the same at different times;
// when their calls have ended, the maker reads what they wrote. In a worker that
// got a handle without it, the memory stays as it is, read-only. Where the
// system has no such memory, see [Shared], a writable handle cannot be sent: it
// is an error of the call, since what a worker writes would be lost.
func (s *Shared[T]) Writable() *Shared[T] {
	if s == nil || s.memory == nil {
		return s
	}
	return &Shared[T]{memory: s.memory, isWritable: s.memory.mayWrite}
}

// Close gives the memory back at once, though workers still have it mapped, and
// for all handles of it. Call it when the calls have ended that got it; those
// that start later end with an error that matches [fs.ErrClosed]. A call that
// still runs sees zeros, and what it writes then is lost.
//
// To close it again does nothing. Only the process that has made it can: in a
// worker, Close is an error and does nothing. The memory of a Shared that is
// dropped without Close is given back when the garbage collector finds that.
func (s *Shared[T]) Close() error {
	if s == nil || s.memory == nil {
		return nil
	}
	if !s.memory.isOurs {
		return errors.New("executor: Shared.Close: it was made by another process, which is to close it")
	}
	s.memory.close()
	return nil
}

// MarshalBinary is there for what sends a Shared to another process. It returns
// a handle, and the content only where there is no such memory. The error after
// Close matches [fs.ErrClosed].
func (s *Shared[T]) MarshalBinary() ([]byte, error) {
	if s == nil || s.memory == nil {
		return nil, errors.New("shared memory: it was not made with NewShared")
	}
	return s.memory.encode(s.isWritable)
}

// UnmarshalBinary makes s the memory whose handle MarshalBinary has returned. The
// error matches [fs.ErrClosed] if that is closed; and it says so if it holds
// other numbers than T, or cannot be opened. It takes bytes of any origin.
func (s *Shared[T]) UnmarshalBinary(data []byte) error {
	h, err := parseHandle(data)
	if err != nil {
		return err
	}
	if kind := kindOf[T](); h.kind != kind {
		return fmt.Errorf("shared memory: it holds numbers of type %v, not %v", h.kind, kind)
	}
	m, err := h.memory(int(unsafe.Sizeof(*new(T))))
	if err != nil {
		return err
	}
	*s = Shared[T]{memory: m, isWritable: h.isWritable && m.mayWrite}
	return nil
}

// errSharedClosed is what has become of the memory. It crosses as fs.ErrClosed.
var errSharedClosed error = closedError{}

type closedError struct{}

func (closedError) Error() string { return "shared memory: it is closed" }
func (closedError) Unwrap() error { return fs.ErrClosed }

package codec

import (
	"encoding/binary"
	"fmt"
	"reflect"
	"slices"
	"unsafe"
)

// isBigEndian reports whether memory has to be turned round to be encoded.
var isBigEndian = binary.NativeEndian.Uint16([]byte{0, 1}) == 1

// isNumber reports whether values of t are numbers of a fixed size.
func isNumber(t reflect.Type) bool {
	k := t.Kind()
	return k >= reflect.Int && k <= reflect.Complex128 && k != reflect.Uintptr && !marshals(t)
}

func ptr[T any](v *T) unsafe.Pointer { return unsafe.Pointer(v) }

func appendNumber[T any](b []byte, v *T) []byte {
	start := len(b)
	b = append(b, unsafe.Slice((*byte)(unsafe.Pointer(v)), unsafe.Sizeof(*v))...)
	if isBigEndian {
		reverse(b[start:], wordSize(reflect.TypeFor[T]()))
	}
	return b
}

func decodeNumber[T any](c *Codec[T], data []byte) (v T, err error) {
	if len(data) != c.size {
		return v, fmt.Errorf("cannot decode a %v from %d bytes", c.typ, len(data))
	}
	if c.typ.Kind() == reflect.Bool && data[0] > 1 {
		return v, fmt.Errorf("cannot decode a %v from %d", c.typ, data[0])
	}
	memory := unsafe.Slice((*byte)(unsafe.Pointer(&v)), c.size)
	copy(memory, data)
	if isBigEndian {
		reverse(memory, wordSize(c.typ))
	}
	return v, nil
}

// wordSize is the size of the parts of a number that have an order of bytes.
func wordSize(t reflect.Type) int {
	size := int(t.Size())
	if k := t.Kind(); k == reflect.Complex64 || k == reflect.Complex128 {
		size /= 2
	}
	return size
}

// reverse turns each word of b round.
func reverse(b []byte, size int) {
	for word := range slices.Chunk(b, size) {
		slices.Reverse(word)
	}
}

// viewer gives access to the memory of a string, or of a slice of numbers.
type viewer struct {
	typ  reflect.Type
	elem int // size of an element
	word int
}

// newViewer returns the viewer of a type, nil if it has none.
func newViewer(t reflect.Type) *viewer {
	switch {
	case marshals(t):
		return nil
	case t.Kind() == reflect.String:
		return &viewer{t, 1, 1}
	case t.Kind() == reflect.Slice && isNumber(t.Elem()):
		return &viewer{t, int(t.Elem().Size()), wordSize(t.Elem())}
	}
	return nil
}

// header is that of a slice; a string's is the first two words of it.
type header struct {
	data     unsafe.Pointer
	len, cap int
}

// memory returns that of a string, or of a slice: nil for a nil one.
func (w *viewer) memory(v unsafe.Pointer) []byte {
	if w.typ.Kind() == reflect.String {
		s := *(*string)(v)
		if s == "" {
			return []byte{}
		}
		return unsafe.Slice(unsafe.StringData(s), len(s))
	}
	h := (*header)(v)
	if h.data == nil {
		return nil
	}
	data := unsafe.Slice((*byte)(h.data), h.len*w.elem)
	if isBigEndian && w.word > 1 {
		data = slices.Clone(data)
		reverse(data, w.word)
	}
	return data
}

// copyTo makes of data a value with memory of its own.
func (w *viewer) copyTo(data []byte, v unsafe.Pointer) error {
	if len(data)%w.elem != 0 {
		return fmt.Errorf("cannot decode a %v: %w", w.typ, errLength)
	}
	if data == nil {
		return nil
	}
	return w.aliasTo(w.clone(data), v)
}

// clone copies data to memory with the alignment of any number.
func (w *viewer) clone(data []byte) []byte {
	if len(data) == 0 {
		return []byte{}
	}
	memory := append([]byte(nil), data...) // does not clear what it copies to
	if uintptr(unsafe.Pointer(&memory[0]))%uintptr(w.word) != 0 {
		words := make([]uint64, (len(data)+7)/8)
		memory = unsafe.Slice((*byte)(unsafe.Pointer(&words[0])), 8*len(words))[:len(data)]
		copy(memory, data)
	}
	if isBigEndian && w.word > 1 {
		reverse(memory, w.word)
	}
	return memory
}

// aliasTo makes of data a value in the same memory, or in a copy of it if that
// is not aligned.
func (w *viewer) aliasTo(data []byte, v unsafe.Pointer) error {
	if len(data)%w.elem != 0 {
		return fmt.Errorf("cannot decode a %v: %w", w.typ, errLength)
	}
	if w.typ.Kind() == reflect.String {
		*(*string)(v) = unsafe.String(unsafe.SliceData(data), len(data))
		return nil
	}
	if data == nil {
		return nil
	}
	if len(data) == 0 {
		data = make([]byte, 0, 8)
	}
	memory := unsafe.Pointer(unsafe.SliceData(data))
	if uintptr(memory)%uintptr(w.word) != 0 {
		data = w.clone(data)
		memory = unsafe.Pointer(unsafe.SliceData(data))
	}
	n := len(data) / w.elem
	*(*header)(v) = header{memory, n, n}
	return nil
}

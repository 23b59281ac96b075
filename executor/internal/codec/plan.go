package codec

import (
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"unsafe"
)

// plan encodes the values of a type that is made of numbers, bools, strings,
// slices of numbers, and arrays and structs of these: one behind the other,
// strings and slices behind their length. It takes a twentieth of the time of
// CBOR, and no memory.
type plan struct {
	size   int // of every encoding, 0 if they differ
	append func(b []byte, v unsafe.Pointer) []byte
	decode func(data []byte, v unsafe.Pointer) (rest []byte, err error)
}

var errShort = errors.New("it ends too early")

// planOf returns the plan for a type, nil if it needs CBOR.
func planOf(t reflect.Type) *plan {
	switch {
	case marshals(t) || slices.Contains(native, t):
		return nil
	case isNumber(t):
		return memoryPlan(int(t.Size()), wordSize(t))
	}
	switch t.Kind() {
	case reflect.Bool:
		return boolPlan()
	case reflect.String, reflect.Slice:
		if w := newViewer(t); w != nil {
			return viewPlan(w)
		}
	case reflect.Array:
		if isNumber(t.Elem()) {
			return memoryPlan(int(t.Size()), wordSize(t.Elem()))
		}
		return arrayPlan(t)
	case reflect.Struct:
		return structPlan(t)
	}
	return nil
}

// memoryPlan is for numbers of one kind, behind each other.
func memoryPlan(size, word int) *plan {
	return &plan{
		size: size,
		append: func(b []byte, v unsafe.Pointer) []byte {
			start := len(b)
			b = append(b, unsafe.Slice((*byte)(v), size)...)
			if isBigEndian {
				reverse(b[start:], word)
			}
			return b
		},
		decode: func(data []byte, v unsafe.Pointer) ([]byte, error) {
			if len(data) < size {
				return nil, errShort
			}
			memory := unsafe.Slice((*byte)(v), size)
			copy(memory, data)
			if isBigEndian {
				reverse(memory, word)
			}
			return data[size:], nil
		},
	}
}

func boolPlan() *plan {
	p := memoryPlan(1, 1)
	copyByte := p.decode
	p.decode = func(data []byte, v unsafe.Pointer) ([]byte, error) {
		if len(data) > 0 && data[0] > 1 {
			return nil, fmt.Errorf("a bool is %d", data[0])
		}
		return copyByte(data, v)
	}
	return p
}

// viewPlan is for strings and slices of numbers. Before them stands their length
// in bytes and 1, or 0 for a nil slice.
func viewPlan(w *viewer) *plan {
	return &plan{
		append: func(b []byte, v unsafe.Pointer) []byte {
			data := w.memory(v)
			if data == nil {
				return append(b, 0)
			}
			return append(binary.AppendUvarint(b, uint64(len(data))+1), data...)
		},
		decode: func(data []byte, v unsafe.Pointer) ([]byte, error) {
			n, width := binary.Uvarint(data)
			if width <= 0 || n > uint64(len(data)-width)+1 {
				return nil, errShort
			}
			data = data[width:]
			if n == 0 {
				return data, w.copyTo(nil, v)
			}
			return data[n-1:], w.copyTo(data[:n-1:n-1], v)
		},
	}
}

func arrayPlan(t reflect.Type) *plan {
	elem, step := planOf(t.Elem()), t.Elem().Size()
	switch {
	case elem == nil:
		return nil
	case t.Size() == 0: // of nothing there may be any number
		return partsPlan(nil)
	}
	return &plan{
		size: t.Len() * elem.size,
		append: func(b []byte, v unsafe.Pointer) []byte {
			for i := range t.Len() {
				b = elem.append(b, unsafe.Add(v, uintptr(i)*step))
			}
			return b
		},
		decode: func(data []byte, v unsafe.Pointer) (_ []byte, err error) {
			for i := range t.Len() {
				if data, err = elem.decode(data, unsafe.Add(v, uintptr(i)*step)); err != nil {
					return nil, err
				}
			}
			return data, nil
		},
	}
}

func structPlan(t reflect.Type) *plan {
	var parts []part
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Name == "_" {
			continue
		}
		p := planOf(f.Type)
		if p == nil {
			return nil
		}
		parts = append(parts, part{f.Offset, p})
	}
	return partsPlan(parts)
}

// part is a field of a struct.
type part struct {
	offset uintptr
	*plan
}

func partsPlan(parts []part) *plan {
	size := 0
	for _, p := range parts {
		if p.size == 0 {
			size = 0
			break
		}
		size += p.size
	}
	return &plan{
		size: size,
		append: func(b []byte, v unsafe.Pointer) []byte {
			for _, p := range parts {
				b = p.append(b, unsafe.Add(v, p.offset))
			}
			return b
		},
		decode: func(data []byte, v unsafe.Pointer) (_ []byte, err error) {
			for _, p := range parts {
				if data, err = p.decode(data, unsafe.Add(v, p.offset)); err != nil {
					return nil, err
				}
			}
			return data, nil
		},
	}
}

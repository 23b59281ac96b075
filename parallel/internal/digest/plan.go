package digest

import (
	"encoding/binary"
	"fmt"
	"math/big"
	"reflect"
	"time"
	"unsafe"
)

// plan says how the values of a type are written. It is made once for a type,
// since to ask a reflect.Type for its fields takes longer than to write them.
type plan struct {
	write    func(w *writer, p unsafe.Pointer) error // the value at p
	isMemory bool                                    // what is written is the memory itself
	isEmpty  bool                                    // nothing is written, whatever the value
}

// isLittleEndian reports whether numbers are in memory as they are written. Tests
// change it.
var isLittleEndian = binary.NativeEndian.Uint16([]byte{1, 0}) == 1

// planner makes plans. It has those that it has made, or is about to make, since
// types may contain themselves.
type planner map[reflect.Type]*plan

// newPlan returns the plan for t, which has a text.
func newPlan(t reflect.Type) *plan { return planner{}.of(t) }

func (made planner) of(t reflect.Type) *plan {
	if p := made[t]; p != nil {
		return p
	}
	p := new(plan)
	made[t] = p
	*p = made.make(t)
	return p
}

func (made planner) make(t reflect.Type) plan {
	switch t {
	case timeType:
		return plan{write: writeTime}
	case bigType:
		return plan{write: writeBig}
	}
	// Only defined types have marshalers of their own. A pointer has the methods
	// of what it points to, but may be nil.
	if t.PkgPath() != "" {
		if m := marshalerOf(t); m != nil {
			return marshalerPlan(t, m)
		}
	}
	switch t.Kind() {
	case reflect.String:
		return plan{write: writeString}
	case reflect.Slice:
		return made.slice(t)
	case reflect.Array:
		return made.array(t)
	case reflect.Map:
		return made.mapping(t)
	case reflect.Pointer:
		return made.pointer(t)
	case reflect.Struct:
		return made.structure(t)
	}
	return numberPlan(t)
}

// numberPlan is for numbers and bools.
func numberPlan(t reflect.Type) plan {
	size, isInt := t.Size(), t.Kind() == reflect.Int || t.Kind() == reflect.Uint
	switch {
	case size == 1, isLittleEndian && (size == 8 || !isInt):
		return memoryPlan(size)
	case t.Kind() == reflect.Int:
		return plan{write: func(w *writer, p unsafe.Pointer) error {
			w.uint64(uint64(*(*int)(p)))
			return nil
		}}
	case t.Kind() == reflect.Uint:
		return plan{write: func(w *writer, p unsafe.Pointer) error {
			w.uint64(uint64(*(*uint)(p)))
			return nil
		}}
	case t.Kind() == reflect.Complex64, t.Kind() == reflect.Complex128:
		return plan{write: func(w *writer, p unsafe.Pointer) error {
			w.number(p, size/2)
			w.number(unsafe.Add(p, size/2), size/2)
			return nil
		}}
	}
	return plan{write: func(w *writer, p unsafe.Pointer) error {
		w.number(p, size)
		return nil
	}}
}

// memoryPlan is for what is in memory as it is written.
func memoryPlan(size uintptr) plan {
	return plan{
		write: func(w *writer, p unsafe.Pointer) error {
			w.bytes(unsafe.Slice((*byte)(p), size))
			return nil
		},
		isMemory: true,
		isEmpty:  size == 0,
	}
}

func writeString(w *writer, p unsafe.Pointer) error {
	w.string(*(*string)(p))
	return nil
}

func (made planner) slice(t reflect.Type) plan {
	elem, size := made.of(t.Elem()), t.Elem().Size()
	return plan{write: func(w *writer, p unsafe.Pointer) error {
		s := *(*[]struct{})(p) // has the length and the place of any slice
		if s == nil {
			w.byte(0)
			return nil
		}
		w.byte(1)
		w.uint64(uint64(len(s)))
		first := unsafe.Pointer(unsafe.SliceData(s))
		err := w.enter()
		switch {
		case err != nil:
		case elem.isMemory:
			w.bytes(unsafe.Slice((*byte)(first), uintptr(len(s))*size))
		default:
			err = elem.writeEach(w, first, len(s), size)
		}
		if err != nil {
			return through(err, place{t, first, len(s)})
		}
		w.leave()
		return nil
	}}
}

func (made planner) array(t reflect.Type) plan {
	elem, size := made.of(t.Elem()), t.Elem().Size()
	switch {
	case elem.isMemory:
		return memoryPlan(t.Size())
	case elem.isEmpty || t.Len() == 0:
		return partsPlan(nil)
	}
	return plan{write: func(w *writer, p unsafe.Pointer) error {
		return elem.writeEach(w, p, t.Len(), size)
	}}
}

// writeEach writes the n values of a size that start at first.
func (elem *plan) writeEach(w *writer, first unsafe.Pointer, n int, size uintptr) error {
	if elem.isEmpty { // of nothing there may be any number
		return nil
	}
	for i := range n {
		if err := elem.write(w, unsafe.Add(first, uintptr(i)*size)); err != nil {
			return at(err, fmt.Sprintf("[%d]", i))
		}
	}
	return nil
}

func (made planner) pointer(t reflect.Type) plan {
	elem := made.of(t.Elem())
	return plan{write: func(w *writer, p unsafe.Pointer) error {
		to := *(*unsafe.Pointer)(p)
		if to == nil {
			w.byte(0)
			return nil
		}
		w.byte(1)
		err := w.enter()
		if err == nil {
			err = elem.write(w, to)
		}
		if err != nil {
			return through(err, place{t, to, 0})
		}
		w.leave()
		return nil
	}}
}

func (made planner) mapping(t reflect.Type) plan {
	key, elem := made.of(t.Key()), made.of(t.Elem())
	return plan{write: func(w *writer, p unsafe.Pointer) error {
		m := reflect.NewAt(t, p).Elem()
		if m.IsNil() {
			w.byte(0)
			return nil
		}
		w.byte(1)
		w.uint64(uint64(m.Len()))
		err := w.enter()
		if err == nil {
			err = writeEntries(w, m, key, elem)
		}
		if err != nil {
			return through(err, place{t, m.UnsafePointer(), 0})
		}
		w.leave()
		return nil
	}}
}

// writeEntries writes the entries of m, sorted.
func writeEntries(w *writer, m reflect.Value, key, elem *plan) error {
	// One key and one value for all entries: it.Key() would allocate each time.
	k, e := reflect.New(m.Type().Key()), reflect.New(m.Type().Elem())
	s := w.open()
	for it := m.MapRange(); it.Next(); {
		k.Elem().SetIterKey(it)
		e.Elem().SetIterValue(it)
		start := len(w.buf)
		if err := key.write(w, k.UnsafePointer()); err != nil {
			return at(err, "[key]")
		}
		if err := elem.write(w, e.UnsafePointer()); err != nil {
			return at(err, "[]")
		}
		w.spans = append(w.spans, span{start, len(w.buf)})
	}
	w.close(s)
	return nil
}

// part is a field of a struct.
type part struct {
	name   string
	offset uintptr
	*plan
}

func (made planner) structure(t reflect.Type) plan {
	var parts []part
	isMemory, size := true, uintptr(0)
	for f := range t.Fields() {
		if isSkipped(f) || f.Name == "_" {
			continue
		}
		p := part{f.Name, f.Offset, made.of(f.Type)}
		size += f.Type.Size()
		isMemory = isMemory && p.isMemory
		if !p.isEmpty {
			parts = append(parts, p)
		}
	}
	if isMemory && size == t.Size() { // no gaps between the fields
		return memoryPlan(size)
	}
	return partsPlan(parts)
}

func partsPlan(parts []part) plan {
	return plan{
		write: func(w *writer, v unsafe.Pointer) error {
			for _, p := range parts {
				if err := p.write(w, unsafe.Add(v, p.offset)); err != nil {
					return at(err, "."+p.name)
				}
			}
			return nil
		},
		isEmpty: len(parts) == 0,
	}
}

func writeTime(w *writer, p unsafe.Pointer) error {
	t := *(*time.Time)(p)
	name, offset := t.Zone()
	w.uint64(uint64(t.Unix()))
	w.uint32(uint32(t.Nanosecond()))
	w.uint64(uint64(int64(offset)))
	w.string(name)
	return nil
}

func writeBig(w *writer, p unsafe.Pointer) error {
	x := (*big.Int)(p)
	sign := byte(0)
	if x.Sign() < 0 {
		sign = 1
	}
	w.byte(sign)
	w.lengthAndBytes(x.Bytes())
	return nil
}

func marshalerPlan(t reflect.Type, m *marshaler) plan {
	return plan{write: func(w *writer, p unsafe.Pointer) error {
		if err := w.count(); err != nil {
			return err
		}
		data, err := m.marshal(reflect.NewAt(t, p).Interface())
		if err != nil {
			return fmt.Errorf("its %s %w", m.method, err)
		}
		w.lengthAndBytes(data)
		return nil
	}}
}

// marshal calls a method of the user's.
func (m *marshaler) marshal(v any) (data []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panicked: %v", p)
		}
	}()
	if data, err = m.call(v); err != nil {
		return nil, fmt.Errorf("failed: %w", err)
	}
	return data, nil
}

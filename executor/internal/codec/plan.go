package codec

import (
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"unsafe"
)

// plan encodes and decodes the values of a type. It is made once for a type: to
// ask a reflect.Type for its fields takes longer than to encode them.
type plan struct {
	size   int   // of every encoding, 0 if they differ
	least  int64 // no encoding has fewer bytes
	isFlat bool  // there is nothing to refuse: encode needs no walk and has no error
	encode func(b []byte, v unsafe.Pointer, w *walk) ([]byte, error)

	// decode makes a value of the beginning of data, where v points to a zero
	// value, and returns the rest. The level is that of walk.
	decode func(data []byte, v unsafe.Pointer, level int) (rest []byte, err error)
}

var (
	errLength = errors.New("its length is wrong")
	errShort  = errors.New("it ends too early")
	errNil    = errors.New("it is nil")
	errTwice  = errors.New("a key is there twice")
	errTime   = errors.New("it is no time")
	errSign   = errors.New("it has no sign")
)

// planner makes plans. It has those that it has made, or is about to make, since
// types may contain themselves.
type planner map[reflect.Type]*plan

// newPlan returns the plan for a type that the survey has taken.
func newPlan(t reflect.Type) *plan { return planner{}.of(t) }

func (made planner) of(t reflect.Type) *plan {
	if p := made[t]; p != nil {
		return p
	}
	// What may contain itself is a pointer, a slice or a map somewhere, and has
	// one byte at least: so much must be known before the rest is.
	p := &plan{least: 1}
	made[t] = p
	*p = made.make(t)
	return p
}

func (made planner) make(t reflect.Type) plan {
	switch {
	case t == timeType:
		return timePlan()
	case t == bigType:
		return bigPlan()
	case marshals(t):
		return marshalerPlan(t)
	case isNumber(t):
		return memoryPlan(int(t.Size()), wordSize(t))
	}
	switch t.Kind() {
	case reflect.Bool:
		return boolPlan()
	case reflect.String:
		return stringPlan()
	case reflect.Slice:
		if w := newViewer(t); w != nil {
			return numbersPlan(w)
		}
		return made.slice(t)
	case reflect.Array:
		if isNumber(t.Elem()) {
			return memoryPlan(int(t.Size()), wordSize(t.Elem()))
		}
		return made.array(t)
	case reflect.Map:
		return made.mapping(t)
	case reflect.Pointer:
		return made.pointer(t)
	}
	return made.structure(t)
}

// memoryPlan is for numbers of one kind, behind each other.
func memoryPlan(size, word int) plan {
	return plan{
		size:   size,
		least:  int64(size),
		isFlat: true,
		encode: func(b []byte, v unsafe.Pointer, _ *walk) ([]byte, error) {
			start := len(b)
			b = append(b, unsafe.Slice((*byte)(v), size)...)
			if isBigEndian {
				reverse(b[start:], word)
			}
			return b, nil
		},
		decode: func(data []byte, v unsafe.Pointer, _ int) ([]byte, error) {
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

func boolPlan() plan {
	p := memoryPlan(1, 1)
	copyByte := p.decode
	p.decode = func(data []byte, v unsafe.Pointer, level int) ([]byte, error) {
		if len(data) > 0 && data[0] > 1 {
			return nil, fmt.Errorf("a bool is %d", data[0])
		}
		return copyByte(data, v, level)
	}
	return p
}

func stringPlan() plan {
	return plan{
		least:  1,
		isFlat: true,
		encode: func(b []byte, v unsafe.Pointer, _ *walk) ([]byte, error) {
			return appendString(b, *(*string)(v)), nil
		},
		decode: func(data []byte, v unsafe.Pointer, _ int) ([]byte, error) {
			bytes, data, err := takeBytes(data)
			if err == nil {
				*(*string)(v) = string(bytes)
			}
			return data, err
		},
	}
}

// appendString appends s behind its length.
func appendString[T string | []byte](b []byte, s T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))+1), s...)
}

// numbersPlan is for slices of numbers.
func numbersPlan(view *viewer) plan {
	return plan{
		least:  1,
		isFlat: true,
		encode: func(b []byte, v unsafe.Pointer, w *walk) ([]byte, error) {
			data := view.memory(v)
			if data == nil {
				return append(b, 0), nil
			}
			if w != nil {
				if err := w.enter(); err != nil {
					return nil, err
				}
				w.leave()
			}
			return appendString(b, data), nil
		},
		decode: func(data []byte, v unsafe.Pointer, _ int) ([]byte, error) {
			n, isNil, data, err := takeLength(data, 1)
			if err != nil || isNil {
				return data, err
			}
			return data[n:], view.copyTo(data[:n:n], v)
		},
	}
}

// takeLength takes a length off data, or that there is nil, and checks that the
// rest may be as many things of so many bytes at least.
func takeLength(data []byte, least int64) (n int, isNil bool, rest []byte, err error) {
	u, width := binary.Uvarint(data)
	switch {
	case width <= 0:
		return 0, false, nil, errShort
	case u == 0:
		return 0, true, data[width:], nil
	case least > 0 && u-1 > uint64(int64(len(data)-width)/least), u-1 > maxInt:
		return 0, false, nil, errShort
	}
	return int(u - 1), false, data[width:], nil
}

// takeBytes takes off data what appendString appends.
func takeBytes(data []byte) (s, rest []byte, err error) {
	n, isNil, data, err := takeLength(data, 1)
	switch {
	case err != nil:
		return nil, nil, err
	case isNil:
		return nil, nil, errNil
	}
	return data[:n:n], data[n:], nil
}

const maxInt = uint64(^uint(0) >> 1)

func (made planner) slice(t reflect.Type) plan {
	elem, step := made.of(t.Elem()), t.Elem().Size()
	if elem.least == 0 && step > 0 {
		elem = &padding
	}
	return plan{
		least: 1,
		encode: func(b []byte, v unsafe.Pointer, w *walk) ([]byte, error) {
			h := (*header)(v)
			if h.data == nil {
				return append(b, 0), nil
			}
			err := w.enter()
			if err == nil {
				b, err = elem.encodeMany(binary.AppendUvarint(b, uint64(h.len)+1), h.data, h.len, step, w)
			}
			if err != nil {
				return nil, through(err, place{t, h.data, h.len})
			}
			w.leave()
			return b, nil
		},
		decode: func(data []byte, v unsafe.Pointer, level int) ([]byte, error) {
			n, isNil, data, err := takeLength(data, elem.least)
			switch {
			case err != nil || isNil:
				return data, err
			case level == maxLevels:
				return nil, errDeep
			}
			s := reflect.MakeSlice(t, n, n)
			*(*header)(v) = header{s.UnsafePointer(), n, n}
			return elem.decodeMany(data, s.UnsafePointer(), n, step, level+1)
		},
	}
}

// padding is for elements of slices and maps that have no bytes themselves, but need
// memory: one byte each, so that a length is no claim to any amount of it.
var padding = plan{
	least: 1,
	encode: func(b []byte, _ unsafe.Pointer, _ *walk) ([]byte, error) {
		return append(b, 0), nil
	},
	decode: func(data []byte, _ unsafe.Pointer, _ int) ([]byte, error) {
		if len(data) == 0 {
			return nil, errShort
		}
		return data[1:], nil
	},
}

// encodeMany appends the n values that start at first.
func (p *plan) encodeMany(b []byte, first unsafe.Pointer, n int, step uintptr, w *walk) (_ []byte, err error) {
	if p.least == 0 { // of nothing there may be any number
		return b, nil
	}
	for i := range n {
		if b, err = p.encode(b, unsafe.Add(first, uintptr(i)*step), w); err != nil {
			return nil, at(err, fmt.Sprintf("[%d]", i))
		}
	}
	return b, nil
}

// decodeMany decodes the n values that start at first.
func (p *plan) decodeMany(data []byte, first unsafe.Pointer, n int, step uintptr, level int) (_ []byte, err error) {
	if p.least == 0 {
		return data, nil
	}
	for i := range n {
		if data, err = p.decode(data, unsafe.Add(first, uintptr(i)*step), level); err != nil {
			return nil, at(err, fmt.Sprintf("[%d]", i))
		}
	}
	return data, nil
}

func (made planner) array(t reflect.Type) plan {
	elem, step, n := made.of(t.Elem()), t.Elem().Size(), t.Len()
	return plan{
		size:   n * elem.size,
		least:  min(int64(n), most) * elem.least,
		isFlat: elem.isFlat,
		encode: func(b []byte, v unsafe.Pointer, w *walk) ([]byte, error) {
			return elem.encodeMany(b, v, n, step, w)
		},
		decode: func(data []byte, v unsafe.Pointer, level int) ([]byte, error) {
			return elem.decodeMany(data, v, n, step, level)
		},
	}.limited()
}

// most is what plan.least is limited to, so that sums and products of it are no
// more than an int64 has.
const most = 1 << 30

func (p plan) limited() plan {
	p.least = min(p.least, most)
	return p
}

func (made planner) pointer(t reflect.Type) plan {
	elem := made.of(t.Elem())
	return plan{
		least: 1,
		encode: func(b []byte, v unsafe.Pointer, w *walk) ([]byte, error) {
			to := *(*unsafe.Pointer)(v)
			if to == nil {
				return append(b, 0), nil
			}
			err := w.enter()
			if err == nil {
				b, err = elem.encode(append(b, 1), to, w)
			}
			if err != nil {
				return nil, through(err, place{t, to, 0})
			}
			w.leave()
			return b, nil
		},
		decode: func(data []byte, v unsafe.Pointer, level int) ([]byte, error) {
			switch {
			case len(data) == 0:
				return nil, errShort
			case data[0] == 0:
				return data[1:], nil
			case data[0] > 1:
				return nil, fmt.Errorf("a pointer is %d", data[0])
			case int64(len(data)-1) < elem.least:
				return nil, errShort
			case level == maxLevels:
				return nil, errDeep
			}
			to := reflect.New(t.Elem()).UnsafePointer()
			*(*unsafe.Pointer)(v) = to
			return elem.decode(data[1:], to, level+1)
		},
	}
}

func (made planner) mapping(t reflect.Type) plan {
	m := mapPlan{typ: t, key: made.of(t.Key()), elem: made.of(t.Elem())}
	if m.key.least+m.elem.least == 0 {
		m.elem = &padding
	}
	m.entries.New = func() any { return &entry{reflect.New(t.Key()), reflect.New(t.Elem())} }
	return plan{least: 1, encode: m.encode, decode: m.decode}
}

// mapPlan is for the maps of a type.
type mapPlan struct {
	typ       reflect.Type
	key, elem *plan
	entries   sync.Pool // of *entry
}

// entry has memory for a key of a map and its value, to copy them from and to the
// map: reflect allocates where it is given none.
type entry struct{ key, elem reflect.Value }

// clear makes both zero, so that nothing of them stays alive.
func (e *entry) clear() {
	e.key.Elem().SetZero()
	e.elem.Elem().SetZero()
}

func (m *mapPlan) encode(b []byte, v unsafe.Pointer, w *walk) ([]byte, error) {
	value := reflect.NewAt(m.typ, v).Elem()
	if value.IsNil() {
		return append(b, 0), nil
	}
	err := w.enter()
	if err == nil {
		b, err = m.encodeEntries(binary.AppendUvarint(b, uint64(value.Len())+1), value, w)
	}
	if err != nil {
		return nil, through(err, place{m.typ, value.UnsafePointer(), 0})
	}
	w.leave()
	return b, nil
}

func (m *mapPlan) encodeEntries(b []byte, value reflect.Value, w *walk) (_ []byte, err error) {
	e := m.entries.Get().(*entry)
	for it := value.MapRange(); it.Next(); {
		e.key.Elem().SetIterKey(it)
		e.elem.Elem().SetIterValue(it)
		if b, err = m.key.encode(b, e.key.UnsafePointer(), w); err != nil {
			return nil, err // no key is refused
		}
		if b, err = m.elem.encode(b, e.elem.UnsafePointer(), w); err != nil {
			return nil, at(err, "[]")
		}
	}
	e.clear()
	m.entries.Put(e)
	return b, nil
}

func (m *mapPlan) decode(data []byte, v unsafe.Pointer, level int) ([]byte, error) {
	n, isNil, data, err := takeLength(data, m.key.least+m.elem.least)
	switch {
	case err != nil || isNil:
		return data, err
	case level == maxLevels:
		return nil, errDeep
	}
	value := reflect.NewAt(m.typ, v).Elem()
	value.Set(reflect.MakeMapWithSize(m.typ, n))
	e := m.entries.Get().(*entry)
	for i := range n {
		if data, err = m.key.decode(data, e.key.UnsafePointer(), level+1); err != nil {
			return nil, at(err, "[key]")
		}
		if data, err = m.elem.decode(data, e.elem.UnsafePointer(), level+1); err != nil {
			return nil, at(err, "[]")
		}
		if value.SetMapIndex(e.key.Elem(), e.elem.Elem()); value.Len() != i+1 {
			return nil, at(errTwice, "[key]")
		}
		e.clear()
	}
	m.entries.Put(e)
	return data, nil
}

// part is a field of a struct.
type part struct {
	name   string
	offset uintptr
	*plan
}

func (made planner) structure(t reflect.Type) plan {
	var parts []part
	p := plan{isFlat: true}
	isFixed := true
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Name == "_" {
			continue
		}
		of := part{f.Name, f.Offset, made.of(f.Type)}
		parts = append(parts, of)
		p.size += of.size
		p.least += of.least
		p.isFlat = p.isFlat && of.isFlat
		isFixed = isFixed && (of.size > 0 || of.least == 0)
	}
	if !isFixed {
		p.size = 0
	}
	p.encode = func(b []byte, v unsafe.Pointer, w *walk) (_ []byte, err error) {
		for i := range parts {
			p := &parts[i]
			if b, err = p.encode(b, unsafe.Add(v, p.offset), w); err != nil {
				return nil, at(err, "."+p.name)
			}
		}
		return b, nil
	}
	p.decode = func(data []byte, v unsafe.Pointer, level int) (_ []byte, err error) {
		for i := range parts {
			p := &parts[i]
			if data, err = p.decode(data, unsafe.Add(v, p.offset), level); err != nil {
				return nil, at(err, "."+p.name)
			}
		}
		return data, nil
	}
	return p.limited()
}

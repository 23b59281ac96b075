// Package codec turns the arguments and results of calls into bytes and back,
// for calls that cross to another process. What arrives is what was sent, or the
// type has no codec: the error says which of its fields is the reason.
//
// # What arrives
//
// The same means: nil is told from empty, floats and complex numbers are the same
// in all bits, strings may hold any bytes, and all fields arrive but those with
// the name _. Tags do not count, whatever package they are for. Of some things,
// not everything is a part of the value:
//
//	pointer       what it points to; two pointers to one thing become two things
//	slice         its elements; not its capacity, nor that another shares its memory
//	map           its entries
//	time.Time     the instant, the offset from UTC and the name of the zone; not the
//	              monotonic reading. The location is UTC if the zone is "UTC" and at
//	              offset 0; else time.Local if it was that and if time.Local has this
//	              offset and name at this instant where the time arrives; else a
//	              fixed zone
//	marshaler     a type with MarshalCBOR and UnmarshalCBOR, or with MarshalBinary and
//	              UnmarshalBinary: what the second makes of what the first returns
//
// Channels, functions, uintptr, unsafe.Pointer, interfaces and unexported fields
// do not cross, unless they are in a type with marshalers. A key of a map must be
// one that is found again: a bool, a number, a string, or an array or a struct of
// these.
//
// Three things are wrong with a value and not with its type: a marshaler in it
// fails, it leads through more than 1000 pointers, slices and maps, one inside of
// the other, as all values with a cycle do, or it leads through more than 2^28 of
// these and of types with marshalers in all. The limits are those of
// parallel.Hash.
//
// # Encoding
//
// All numbers are little endian. Nothing says of what type a value is: the
// decoder must know.
//
//	bool, number  its memory; a bool is 0 or 1
//	string        its length in bytes and 1, as an uvarint, and the bytes
//	slice         0 for nil; else its length and 1, as an uvarint, and the elements; that
//	              of numbers has its length in bytes. Elements that would have no bytes
//	              have one, unless they need no memory either
//	array         the elements
//	struct        the fields in order, but for those with the name _
//	map           0 for nil; else its length and 1, as an uvarint, and the entries, each the
//	              key and the value behind it; one that would have no bytes has one
//	pointer       0 for nil; else 1 and what it points to
//	time.Time     the seconds since 1970 in UTC, 64 bits with a sign; the nanoseconds beside
//	              them, 32 bits; 0 for UTC, and else 1 for time.Local or 2, the seconds that
//	              the zone is east of UTC, as a varint, and its name as a string
//	math/big.Int  1 if it is negative, else 0; the length of its absolute value in bytes, as
//	              an uvarint, and these, big endian
//	marshaler     the length of what it returns, as an uvarint, and that
//
// A string or a slice of numbers that is the whole value is its memory, without a
// length.
package codec

import (
	"reflect"
	"sync"
	"unsafe"
)

// Codec encodes and decodes values of type T. It is safe for many goroutines.
type Codec[T any] struct{ form }

// form is how the values of a type are encoded.
type form struct {
	typ      reflect.Type
	size     int     // of every encoding, 0 if they differ
	isNumber bool    // or a bool
	view     *viewer // for strings and slices of numbers
	plan     *plan   // for all else
	plain    bool    // no marshaler is in the type
	describe string
}

var cache sync.Map // of *Codec[T], by reflect.Type

// For returns the codec of T, or an error that names the path to what cannot
// cross.
func For[T any]() (*Codec[T], error) {
	typ := reflect.TypeFor[T]()
	if c, ok := cache.Load(typ); ok {
		return c.(*Codec[T]), nil
	}
	f, err := formOf(typ)
	if err != nil {
		return nil, err
	}
	c, _ := cache.LoadOrStore(typ, &Codec[T]{f})
	return c.(*Codec[T]), nil
}

func formOf(t reflect.Type) (form, error) {
	s := survey{seen: make(map[reflect.Type]int)}
	if err := s.visit(t, t.String()); err != nil {
		return form{}, err
	}
	f := form{typ: t, plain: !s.marshals, describe: s.text.String()}
	switch {
	case isNumber(t) || t.Kind() == reflect.Bool && !marshals(t):
		f.size, f.isNumber = int(t.Size()), true
	case newViewer(t) != nil:
		f.view = newViewer(t)
	default:
		f.plan = newPlan(t)
		f.size = f.plan.size
	}
	return f, nil
}

// Plain reports whether encoding and decoding run no code of the user's.
func (c *Codec[T]) Plain() bool { return c.plain }

// Size is the length of every encoding, and 0 if they differ.
func (c *Codec[T]) Size() int { return c.size }

// Describe returns a text that is the same for types that encode alike.
func (c *Codec[T]) Describe() string { return c.describe }

// View returns the memory of v itself as its encoding, for strings and slices
// of numbers: nil for a nil slice, and not nil for an empty one. ok is false for
// other types.
func (c *Codec[T]) View(v T) (data []byte, ok bool) {
	if c.view == nil {
		return nil, false
	}
	return c.view.memory(ptr(&v)), true
}

// ViewAll returns the memory of numbers itself as their encodings, behind each
// other. ok is false for other types.
func (c *Codec[T]) ViewAll(items []T) (data []byte, ok bool) {
	if !c.isNumber || isBigEndian {
		return nil, false
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(items))), len(items)*c.size), true
}

// Append appends the encoding of v to b. If it cannot, it returns b as it was.
func (c *Codec[T]) Append(b []byte, v T) ([]byte, error) { return c.AppendAt(b, &v) }

// AppendAt is Append for what v points to.
func (c *Codec[T]) AppendAt(b []byte, v *T) ([]byte, error) {
	switch {
	case c.isNumber:
		return appendNumber(b, v), nil
	case c.view != nil:
		return append(b, c.view.memory(ptr(v))...), nil
	}
	return c.append(b, ptr(v))
}

// append is AppendAt as the plan says.
func (f *form) append(b []byte, v unsafe.Pointer) ([]byte, error) {
	if f.plan.isFlat {
		return f.plan.encode(b, v, nil)
	}
	w := walks.Get().(*walk)
	defer w.release()
	longer, err := f.plan.encode(b, v, w)
	if err != nil {
		return b, explain("encode", f.typ, err)
	}
	return longer, nil
}

// Decode returns a fresh value that shares no memory with data. It takes
// memory in proportion to data.
func (c *Codec[T]) Decode(data []byte) (v T, err error) {
	err = c.DecodeTo(data, &v)
	return v, err
}

// DecodeTo is Decode into a value that is zero, and stays so if there is an
// error.
func (c *Codec[T]) DecodeTo(data []byte, v *T) (err error) {
	switch {
	case c.isNumber:
		*v, err = decodeNumber[T](c, data)
	case c.view != nil:
		err = c.view.copyTo(data, ptr(v))
	default:
		if err = c.follow(data, ptr(v)); err != nil {
			var none T
			*v = none
		}
	}
	return err
}

// follow decodes data as the plan says.
func (f *form) follow(data []byte, v unsafe.Pointer) error {
	rest, err := f.plan.decode(data, v, 0)
	if err == nil && len(rest) > 0 {
		err = errLength
	}
	if err != nil {
		return explain("decode", f.typ, err)
	}
	return nil
}

// AliasAll decodes numbers that are behind each other, all of data, and shares
// its memory if that is aligned. ok is false for other types.
func (c *Codec[T]) AliasAll(data []byte) (items []T, ok bool) {
	if !c.isNumber || isBigEndian || c.typ.Kind() == reflect.Bool || len(data) == 0 || len(data)%c.size != 0 {
		return nil, false
	}
	if !isAligned(data, c.typ) {
		if data = append([]byte(nil), data...); !isAligned(data, c.typ) { // append does not clear what it copies to
			return nil, false
		}
	}
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(data))), len(data)/c.size), true
}

func isAligned(data []byte, t reflect.Type) bool {
	return uintptr(unsafe.Pointer(unsafe.SliceData(data)))%uintptr(t.Align()) == 0
}

// SameNumbers reports whether both types are numbers of one size: then what comes
// of an item can be written over it.
func SameNumbers[In, Out any](in *Codec[In], out *Codec[Out]) bool {
	return in.isNumber && out.isNumber && in.size == out.size
}

// Room returns what is free of the capacity of b as memory for values of T: for
// numbers, where it is aligned. ok is false for other types.
func Room[T any](c *Codec[T], b []byte) (items []T, ok bool) {
	free := b[len(b):cap(b)]
	if !c.isNumber || isBigEndian || len(free) < c.size || !isAligned(free, c.typ) {
		return nil, false
	}
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(free))), len(free)/c.size), true
}

// DecodeAll decodes numbers that are behind each other into items, as many as
// there are. ok is false for other types.
func (c *Codec[T]) DecodeAll(data []byte, items []T) (ok bool) {
	memory, ok := c.ViewAll(items)
	if !ok || c.typ.Kind() == reflect.Bool || len(memory) != len(data) {
		return false
	}
	copy(memory, data)
	return true
}

// Alias is Decode for a value that shares memory with data, where the type and
// the alignment allow it. Strings never do: data may change.
func (c *Codec[T]) Alias(data []byte) (v T, err error) {
	if c.view == nil || c.typ.Kind() == reflect.String {
		return c.Decode(data)
	}
	err = c.view.aliasTo(data, ptr(&v))
	return v, err
}

// Package codec turns the arguments and results of calls into bytes and back,
// for calls that cross to another process. It is strict: a type that would lose
// something on the way has no codec.
//
// Some things have one form only when they come back. A time has no monotonic
// reading and only the offset of its Location, and the zero time not even that.
// Two pointers to one thing become two things. Fields with omitempty come back as
// zero values when they were empty. A signalling NaN of 32 bits may become a
// quiet one.
package codec

import (
	"errors"
	"fmt"
	"reflect"
	"sync"
	"unsafe"

	"github.com/fxamacker/cbor/v2"
)

// Codec encodes and decodes values of type T. It is safe for many goroutines.
//
// Numbers and bools are their little-endian memory, and so are strings, []byte
// and slices of numbers, without a length. Structs and arrays of such things are
// one behind the other. All else is CBOR.
type Codec[T any] struct {
	size     int     // of every encoding, 0 if they differ
	isNumber bool    // or a bool
	view     *viewer // for strings and slices of numbers
	plan     *plan   // for structs and arrays that need no CBOR
	plain    bool    // no marshaler is in the type
	careful  bool    // values have to be checked
	opaque   map[reflect.Type]bool
	typ      reflect.Type
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
	c := &Codec[T]{typ: typ, plain: true}
	if isNumber(typ) || typ.Kind() == reflect.Bool && !marshals(typ) {
		c.size, c.isNumber = int(typ.Size()), true
	} else {
		c.view = newViewer(typ)
	}
	if c.isNumber || c.view != nil {
		c.describe = typ.Kind().String()
		if typ.Kind() == reflect.Slice {
			c.describe = "[]" + typ.Elem().Kind().String()
		}
	} else {
		s := &survey{seen: make(map[reflect.Type]*sight), opaque: make(map[reflect.Type]bool)}
		if err := s.visit(typ, typ.String()); err != nil {
			return nil, err
		}
		c.plain, c.careful, c.opaque, c.describe = !s.marshals, s.careful, s.opaque, s.text.String()
		if c.plan = planOf(typ); c.plan != nil {
			c.size = c.plan.size
		} else if s.needsRaw != nil {
			return nil, s.needsRaw
		}
	}
	actual, _ := cache.LoadOrStore(typ, c)
	return actual.(*Codec[T]), nil
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
	case c.plan != nil:
		return c.plan.append(b, ptr(v)), nil
	}
	data, err := c.marshal(*v)
	if err != nil {
		return b, err
	}
	return append(b, data...), nil
}

func (c *Codec[T]) marshal(v T) (data []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			data, err = nil, fmt.Errorf("cannot encode a %v: its marshaler panicked: %v", c.typ, p)
		}
	}()
	if c.careful {
		if err := check(reflect.ValueOf(&v).Elem(), c.opaque); err != nil {
			return nil, fmt.Errorf("cannot encode a %v: %w", c.typ, err)
		}
	}
	data, err = encMode().Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("cannot encode a %v: %w", c.typ, err)
	}
	return data, nil
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
	case c.plan != nil:
		err = c.follow(data, v)
	default:
		*v, err = c.unmarshal(data)
	}
	return err
}

// follow decodes data as the plan says.
func (c *Codec[T]) follow(data []byte, v *T) error {
	rest, err := c.plan.decode(data, ptr(v))
	if err == nil && len(rest) > 0 {
		err = errLength
	}
	if err != nil {
		var none T
		*v = none
		return fmt.Errorf("cannot decode a %v: %w", c.typ, err)
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

func (c *Codec[T]) unmarshal(data []byte) (v T, err error) {
	defer func() {
		if p := recover(); p != nil {
			var none T
			v, err = none, fmt.Errorf("cannot decode a %v: its unmarshaler panicked: %v", c.typ, p)
		}
	}()
	if err := decMode().Unmarshal(data, &v); err != nil {
		var none T
		return none, fmt.Errorf("cannot decode a %v: %w", c.typ, err)
	}
	return v, nil
}

var errLength = errors.New("its length is wrong")

// maxLevels is how deep a value may be nested.
const maxLevels = 1000

var encMode = sync.OnceValue(func() cbor.EncMode {
	m, err := cbor.EncOptions{
		NaNConvert: cbor.NaNConvertNone,
		InfConvert: cbor.InfConvertNone,
		Time:       cbor.TimeRFC3339Nano,
		TimeTag:    cbor.EncTagRequired,
		// What a user's MarshalCBOR returns must be what the decoder takes.
		IndefLength: cbor.IndefLengthForbidden,
	}.EncMode()
	if err != nil {
		panic(err)
	}
	return m
})

var decMode = sync.OnceValue(func() cbor.DecMode {
	m, err := cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		IndefLength:       cbor.IndefLengthForbidden,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		TimeTag:           cbor.DecTagRequired,
		UTF8:              cbor.UTF8DecodeInvalid,
		MaxNestedLevels:   2*maxLevels + 8,
		MaxArrayElements:  1<<31 - 1,
		MaxMapPairs:       1<<31 - 1,
	}.DecMode()
	if err != nil {
		panic(err)
	}
	return m
})

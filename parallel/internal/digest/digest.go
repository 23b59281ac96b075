// Package digest computes the digest of a Go value: the SHA-256 of its type and
// of what it holds. Two values have one digest if and only if they have one type
// and hold the same; nil is not empty, an int is not an int64, and a field's name
// and place count. The digest is the key of caches on disk, so it is frozen: it is
// the same in every process, on every machine, and in every release of this
// package. What follows is all there is to it.
//
// # Digest
//
// The digest is SHA-256 of
//
//	"futures digest 1\n" + type + "\n" + value
//
// # Type
//
// The type is a text in UTF-8, without any space but those shown here:
//
//	bool int8 float64 string ...   a predeclared type: its name; uint8 for byte, int32 for rune
//	[]T   [3]T   map[K]V   *T      with the texts of T, K and V
//	struct{A T;B U;@C V}           the fields in order; @ stands before those that are embedded
//	time.Time+zone  math/big.Int   these two, known as a whole
//	example.com/p.N=T              another defined type: its package's path, its name, and what it is
//	example.com/p.N                the same type again, further to the right or inside of itself
//	example.com/p.N!               a defined type that has a marshaler of its own
//
// The name is that of [reflect.Type.Name], which has the type arguments. Types
// that are declared in functions may share path and name: the second such type
// that the text comes to is named example.com/p.N#1, the third #2.
//
// A field with the tag hash:"-" is left out of the type and of the value, whatever
// it is. Other tags are no part of the type. Neither is the program: the path of a
// type in a command is main. Two types of one text are one type here.
//
// # Value
//
// All numbers are little endian.
//
//	bool                  1 byte, 0 or 1
//	intN, uintN           N bits; int and uint have 64 on every machine
//	floatN, complexN      the bits of IEEE 754, which tell -0 from 0 and one NaN from another; of a
//	                      complex number, those of the real part first
//	string                its length in bytes, 64 bits, and the bytes
//	[]T                   a byte 0 for nil; else a byte 1, the length, 64 bits, and the elements
//	[3]T                  the elements
//	map[K]V               a byte 0 for nil; else a byte 1, the length, 64 bits, and the entries, each
//	                      the key and the value behind it, sorted by these bytes as memcmp does
//	*T                    a byte 0 for nil; else a byte 1 and what it points to
//	struct                the fields in order; those with the name _ are left out (but they are in the type)
//	time.Time             the seconds since 1970 in UTC, 64 bits with a sign; the nanoseconds beside
//	                      them, 32 bits; the seconds that its zone is east of UTC, 64 bits with a
//	                      sign; the name of the zone as a string
//	math/big.Int          a byte 1 if it is negative, else 0; the length, 64 bits, of its absolute
//	                      value in bytes, and these, big endian, the first not 0 (of 0 there is none)
//	with a marshaler      the length, 64 bits, of what the marshaler returns, and that
//
// A pointer is what it points to, once for each pointer: that two are the same
// pointer is not seen, nor is a time's monotonic reading. The text of time.Time was
// without +zone when the name of the zone was not seen.
//
// # Marshalers
//
// A defined type has a marshaler of its own if it, or the pointer to it, is an
// [encoding.BinaryMarshaler], or else has the
// MarshalCBOR of package cbor. A struct that embeds
// something with the same method does not count as one, even if it declares the
// method once more: the method may be that of the embedded field, which knows
// nothing of the other fields, and only the compiler knows. Such a struct is the
// sum of its fields.
//
// # What has no digest
//
// Channels, functions, uintptr, unsafe.Pointer and interfaces have none, nor has a
// struct with an unexported field, nor what contains any of these, unless it is
// in a type with a marshaler or in a field with the tag hash:"-". An executor.Shared
// has none, whose marshaler does not say what it holds. Neither has a
// value that leads through more than 1000 pointers, slices and maps, one inside of
// the other, as all values with a cycle do, or through more than 2^28 of these and of
// types with marshalers in all. The limits are those of executor.Encode.
package digest

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"unsafe"
)

// Digest is the digest of a value and its type.
type Digest [sha256.Size]byte

// version is the first line of what is hashed. Whoever changes what follows it
// has to change it, and loses all that was ever cached.
const version = "futures digest 1\n"

// Hasher computes the digests of values of one type. It is safe for many
// goroutines.
type Hasher struct {
	typ    reflect.Type
	prefix []byte // of what is hashed, up to the value
	plan   *plan
}

// known are the hashers and the refusals so far, as verdicts by reflect.Type.
var known sync.Map

type verdict struct {
	hasher *Hasher
	err    error
}

// For returns the Hasher for t. The error for a type that has no digest says
// where in t the reason is, and what to do about it.
func For(t reflect.Type) (*Hasher, error) {
	if t == nil {
		return nil, errors.New("nil has no type, and so no digest; give it one, as in (*T)(nil)")
	}
	v, ok := known.Load(t)
	if !ok {
		v, _ = known.LoadOrStore(t, judge(t))
	}
	return v.(verdict).hasher, v.(verdict).err
}

func judge(t reflect.Type) verdict {
	text, err := textOf(t)
	if err != nil {
		return verdict{err: err}
	}
	return verdict{hasher: &Hasher{t, []byte(version + text + "\n"), newPlan(t)}}
}

// Text describes the type that h is for, as it is hashed.
func (h *Hasher) Text() string { return string(h.prefix[len(version) : len(h.prefix)-1]) }

// Sum returns the digest of v, which must be of the type that h is for. There is
// an error if v has a cycle, is nested too deep, or if one of the marshalers in
// it fails. A marshaler with a pointer receiver gets a pointer to a copy, unless
// there is one to v itself.
func (h *Hasher) Sum(v reflect.Value) (Digest, error) {
	switch {
	case !v.IsValid():
		return Digest{}, fmt.Errorf("%v: there is no value", h.typ)
	case v.Type() != h.typ:
		return Digest{}, fmt.Errorf("%v: the value is a %v", h.typ, v.Type())
	case !v.CanInterface():
		return Digest{}, fmt.Errorf("%v: the value is that of an unexported field", h.typ)
	}
	w := writers.Get().(*writer)
	defer w.release()
	w.bytes(h.prefix)
	if err := h.plan.write(w, address(v)); err != nil {
		return Digest{}, explain(h.typ, err)
	}
	return w.digest(), nil
}

// address returns where v is, or a copy of it.
func address(v reflect.Value) unsafe.Pointer {
	if !v.CanAddr() {
		c := reflect.New(v.Type()).Elem()
		c.Set(v)
		v = c
	}
	return v.Addr().UnsafePointer()
}

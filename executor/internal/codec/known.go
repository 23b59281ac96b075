package codec

import (
	"encoding"
	"encoding/binary"
	"fmt"
	"math/big"
	"reflect"
	"slices"
	"time"
	"unsafe"
)

// The locations of a time.
const (
	isUTC byte = iota
	isLocal
	isElsewhere
)

func timePlan() plan { return plan{least: 13, isFlat: true, encode: encodeTime, decode: decodeTime} }

func encodeTime(b []byte, v unsafe.Pointer, _ *walk) ([]byte, error) {
	t := *(*time.Time)(v)
	b = binary.LittleEndian.AppendUint64(b, uint64(t.Unix()))
	b = binary.LittleEndian.AppendUint32(b, uint32(t.Nanosecond()))
	name, offset := t.Zone()
	switch {
	case name == "UTC" && offset == 0:
		return append(b, isUTC), nil
	case t.Location() == time.Local:
		b = append(b, isLocal)
	default:
		b = append(b, isElsewhere)
	}
	b = binary.AppendVarint(b, int64(offset))
	return appendString(b, name), nil
}

func decodeTime(data []byte, v unsafe.Pointer, _ int) ([]byte, error) {
	if len(data) < 13 {
		return nil, errShort
	}
	seconds, nanos, where := binary.LittleEndian.Uint64(data), binary.LittleEndian.Uint32(data[8:]), data[12]
	if nanos >= 1e9 || where > isElsewhere {
		return nil, errTime
	}
	at := time.Unix(int64(seconds), int64(nanos))
	if data = data[13:]; where == isUTC {
		*(*time.Time)(v) = at.UTC()
		return data, nil
	}
	offset, width := binary.Varint(data)
	if width <= 0 || offset != int64(int(offset)) {
		return nil, errShort
	}
	name, data, err := takeBytes(data[width:])
	if err != nil {
		return nil, err
	}
	if is, there := at.Zone(); where != isLocal || is != string(name) || there != int(offset) {
		at = at.In(time.FixedZone(string(name), int(offset)))
	}
	*(*time.Time)(v) = at
	return data, nil
}

func bigPlan() plan { return plan{least: 2, isFlat: true, encode: encodeBig, decode: decodeBig} }

func encodeBig(b []byte, v unsafe.Pointer, _ *walk) ([]byte, error) {
	x := (*big.Int)(v)
	sign := byte(0)
	if x.Sign() < 0 {
		sign = 1
	}
	n := (x.BitLen() + 7) / 8
	b = binary.AppendUvarint(append(b, sign), uint64(n)+1)
	start := len(b)
	b = slices.Grow(b, n)[:start+n]
	x.FillBytes(b[start:])
	return b, nil
}

func decodeBig(data []byte, v unsafe.Pointer, _ int) ([]byte, error) {
	switch {
	case len(data) == 0:
		return nil, errShort
	case data[0] > 1:
		return nil, errSign
	}
	isNegative := data[0] == 1
	bytes, data, err := takeBytes(data[1:])
	if err != nil {
		return nil, err
	}
	x := (*big.Int)(v)
	if x.SetBytes(bytes); isNegative {
		x.Neg(x)
	}
	return data, nil
}

// marshalerPlan is for a type with marshalers, which get a pointer to the value
// itself.
func marshalerPlan(t reflect.Type) plan {
	m := marshalersOf(t)
	return plan{
		least: 1,
		encode: func(b []byte, v unsafe.Pointer, w *walk) ([]byte, error) {
			if err := w.count(); err != nil {
				return nil, err
			}
			data, err := m.marshal(reflect.NewAt(t, v).Interface())
			if err != nil {
				return nil, err
			}
			return appendString(b, data), nil
		},
		decode: func(data []byte, v unsafe.Pointer, _ int) ([]byte, error) {
			bytes, data, err := takeBytes(data)
			if err != nil {
				return nil, err
			}
			if err := m.unmarshal(reflect.NewAt(t, v).Interface(), bytes); err != nil {
				return nil, err
			}
			return data, nil
		},
	}
}

// marshalers are two methods, one of which undoes what the other does.
type marshalers struct {
	method, inverse string
	typ, inverseTyp reflect.Type // the interfaces
	call            func(v any) ([]byte, error)
	callInverse     func(v any, data []byte) error
}

// The methods of package cbor of github.com/fxamacker, which some types have.
type (
	cborMarshaler   interface{ MarshalCBOR() ([]byte, error) }
	cborUnmarshaler interface{ UnmarshalCBOR([]byte) error }
)

// pairs are the marshalers that count, the first before the second.
var pairs = []*marshalers{
	{
		"MarshalCBOR", "UnmarshalCBOR", reflect.TypeFor[cborMarshaler](), reflect.TypeFor[cborUnmarshaler](),
		func(v any) ([]byte, error) { return v.(cborMarshaler).MarshalCBOR() },
		func(v any, data []byte) error { return v.(cborUnmarshaler).UnmarshalCBOR(data) },
	},
	{
		"MarshalBinary", "UnmarshalBinary", reflect.TypeFor[encoding.BinaryMarshaler](), reflect.TypeFor[encoding.BinaryUnmarshaler](),
		func(v any) ([]byte, error) { return v.(encoding.BinaryMarshaler).MarshalBinary() },
		func(v any, data []byte) error { return v.(encoding.BinaryUnmarshaler).UnmarshalBinary(data) },
	},
}

// marshalersOf returns the first marshalers of which t, or the pointer to it, has
// one or both; nil if there are none. Pointers and interfaces have none: a pointer to
// them has no methods.
func marshalersOf(t reflect.Type) *marshalers {
	for _, m := range pairs {
		if p := reflect.PointerTo(t); p.Implements(m.typ) || p.Implements(m.inverseTyp) {
			return m
		}
	}
	return nil
}

// marshals reports whether t has a marshaler, or one half of one.
func marshals(t reflect.Type) bool { return marshalersOf(t) != nil }

func (m *marshalers) marshal(v any) (data []byte, err error) {
	defer contain(m.method, &err)
	if data, err = m.call(v); err != nil {
		return nil, fmt.Errorf("its %s failed: %w", m.method, err)
	}
	return data, nil
}

func (m *marshalers) unmarshal(v any, data []byte) (err error) {
	defer contain(m.inverse, &err)
	if err = m.callInverse(v, data); err != nil {
		return fmt.Errorf("its %s failed: %w", m.inverse, err)
	}
	return nil
}

// contain makes an error of a panic in a method of the user's.
func contain(method string, err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("its %s panicked: %v", method, p)
	}
}

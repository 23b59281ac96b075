package codec_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// hostile are bytes that claim more than they have.
func hostile() map[string][]byte {
	claims := map[string][]byte{
		"nothing":                    {},
		"a million arrays in arrays": bytes.Repeat([]byte{0x81}, 1_000_000),
		"a million maps in maps":     bytes.Repeat([]byte{0xa1, 0x61, 'L'}, 333_333),
		"a million tags":             bytes.Repeat([]byte{0xc0}, 1_000_000),
		"a million lists":            bytes.Repeat([]byte{0xa1, 0x64, 'N', 'e', 'x', 't'}, 170_000),
		"an endless array":           {0x9f},
		"an endless string of parts": append([]byte{0x5f}, bytes.Repeat([]byte{0x40}, 1000)...),
		"all ones":                   bytes.Repeat([]byte{0xff}, 1000),
		"zeros":                      make([]byte, 1000),
		"a fraction of a bignum":     {0xc2, 0x5b, 0, 0, 1, 0, 0, 0, 0, 0, 1},
		"an uvarint without end":     bytes.Repeat([]byte{0x80}, 100),
		"a raw length of 2^64-1":     binary.AppendUvarint(nil, 1<<64-1),
		"a raw length of 2^63":       append(binary.AppendUvarint(make([]byte, 28), 1<<63), 1, 2, 3),
	}
	for _, n := range []uint64{1 << 16, 1<<31 - 1, 1 << 31, 1<<32 - 1, 1 << 40, 1<<63 - 1, 1 << 63, 1<<64 - 1} {
		for major, name := range []string{"number", "negative number", "byte string", "text", "array", "map", "tag"} {
			head := binary.BigEndian.AppendUint64([]byte{byte(major<<5 | 27)}, n)
			claims[fmt.Sprintf("%s of %d", name, n)] = head
			claims[fmt.Sprintf("%s of %d, and some of it", name, n)] = append(head, bytes.Repeat([]byte{0xf6}, 100)...)
			claims[fmt.Sprintf("%s of %d in an array", name, n)] = append([]byte{0x81}, head...)
			claims[fmt.Sprintf("%s of %d in a field", name, n)] = append([]byte{0xa1, 0x67, 'S', 't', 'r', 'i', 'n', 'g', 's'}, head...)
		}
	}
	return claims
}

// No bytes take more memory than is in proportion to them. A byte can stand
// for an empty value of the type, so that is the measure.
func TestHostileBytesTakeLittleMemory(t *testing.T) {
	for name, data := range hostile() {
		for _, s := range subjects {
			limit := uint64(256<<10 + 64*len(data) + 4*len(data)*largest(s.typ, nil))
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			v, err := s.decode(data)
			runtime.ReadMemStats(&after)
			if took := after.TotalAlloc - before.TotalAlloc; took > limit {
				t.Errorf("%s: %s (%d bytes) took %d bytes of memory; want at most %d (%v)", s.name, name, len(data), took, limit, err)
			}
			if err != nil && !reflect.ValueOf(v).Elem().IsZero() {
				t.Errorf("%s: %s: an error (%v), and the value %#v; want none", s.name, name, err, v)
			}
		}
	}
}

// largest returns the greatest size of t and the types in it.
func largest(t reflect.Type, seen []reflect.Type) int {
	size := int(t.Size())
	if slices.Contains(seen, t) {
		return size
	}
	seen = append(seen, t)
	switch t.Kind() {
	case reflect.Slice, reflect.Array, reflect.Pointer:
		size = max(size, largest(t.Elem(), seen))
	case reflect.Map:
		size = max(size, 4*(largest(t.Elem(), seen)+int(t.Key().Size()))) // a map has room for more
	case reflect.Struct:
		for i := range t.NumField() {
			size = max(size, largest(t.Field(i).Type, seen))
		}
	}
	return size
}

// Bytes that are cut off are an error, or those of another value.
func TestTruncatedBytesAreNoPanic(t *testing.T) {
	for _, s := range subjects {
		value := rapid.Custom(func(t *rapid.T) reflect.Value {
			rapid.Bool().Draw(t, "something") // struct{} draws nothing
			v := reflect.New(s.typ)
			draw(t, v.Elem(), 1)
			return v
		})
		for seed := range 5 {
			data, err := s.encode(value.Example(seed).Interface())
			if err != nil {
				t.Fatalf("%s: %v", s.name, err)
			}
			for cut := range data {
				decodeAny(t, s, data[:cut])
			}
			for bit := range 8 * min(len(data), 500) {
				flipped := bytes.Clone(data)
				flipped[bit/8] ^= 1 << (bit % 8)
				decodeAny(t, s, flipped)
			}
		}
	}
}

// decodeAny decodes any bytes. What comes is nothing and an error, or a value
// that comes back the same when it is sent, unless the encoder refuses it.
func decodeAny(t interface{ Fatalf(string, ...any) }, s subject, data []byte) {
	v, err := s.decode(data)
	if err != nil {
		if strings.Contains(err.Error(), "panicked") {
			t.Fatalf("%s: decoding %x: %v", s.name, data, err)
		}
		if !reflect.ValueOf(v).Elem().IsZero() {
			t.Fatalf("%s: decoding %x: an error (%v), and the value %#v; want none", s.name, data, err, v)
		}
		return
	}
	again, err := s.encode(v)
	if !s.codec.Plain() {
		return // what a url.URL takes and what it makes of it are not the same
	}
	if err != nil {
		if strings.Contains(err.Error(), "panicked") {
			t.Fatalf("%s: encoding what came of %x: %v", s.name, data, err)
		}
		return
	}
	if s.typ.Kind() == reflect.Slice && len(again) == 0 && !reflect.ValueOf(v).Elem().IsNil() {
		again = []byte{}
	}
	got, err := s.decode(again)
	if err != nil {
		t.Fatalf("%s: what came of %x is encoded as %x, and that cannot be decoded: %v", s.name, data, again, err)
	}
	if d := differ(reflect.ValueOf(v).Elem(), reflect.ValueOf(got).Elem()); d != "" {
		t.Fatalf("%s: what came of %x is sent as %x: %s", s.name, data, again, d)
	}
}

func FuzzDecode(f *testing.F) {
	for i, s := range subjects {
		data, err := s.encode(reflect.New(s.typ).Interface())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, uint8(i))
	}
	for _, data := range hostile() {
		if len(data) < 200 {
			f.Add(data, uint8(0))
		}
	}
	example := rapid.Custom(func(t *rapid.T) []byte { // full values of the richest types
		s := subjects[rapid.IntRange(0, len(subjects)-1).Draw(t, "subject")]
		v := reflect.New(s.typ)
		draw(t, v.Elem(), 1)
		data, err := s.encode(v.Interface())
		if err != nil {
			t.Fatal(err)
		}
		return append(data, byte(slices.IndexFunc(subjects, func(o subject) bool { return o.name == s.name })))
	})
	for seed := range 200 {
		data := example.Example(seed)
		f.Add(data[:len(data)-1], data[len(data)-1])
	}
	f.Fuzz(func(t *testing.T, data []byte, which uint8) {
		decodeAny(t, subjects[int(which)%len(subjects)], data)
	})
}

// A length is believed as far as the rest may be so many elements of the least size.
func TestLengthsAreNotBelievedBeyondWhatThereIs(t *testing.T) {
	type long struct {
		A [1000]int8
		P *int
	}
	c := codecOf[[]long](t)
	data := append(binary.AppendUvarint(nil, 1<<17+1), make([]byte, 2000)...)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	v, err := c.Decode(data)
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; err == nil || v != nil || took > 1<<20 {
		t.Errorf("2000 bytes that claim to be 131072 elements of 1001 bytes at least: %d elements, %v, and %d bytes of memory; want an error and next to no memory", len(v), err, took)
	}
}

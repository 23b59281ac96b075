package codec_test

import (
	"bytes"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gofutures/futures/executor/internal/codec"
)

// What the encoder does not write is refused, and the error says where.
func TestMalformedEncodingsAreErrors(t *testing.T) {
	endless := bytes.Repeat([]byte{0x80}, 11)
	seconds := make([]byte, 8)
	at := func(nanos ...byte) []byte { return append(slices.Clone(seconds), nanos...) }
	for _, row := range []struct {
		name string
		err  error
		want string
	}{
		{"a bool of 2", decodeError[struct{ A []bool }](t, 2, 2), ".A[0]: a bool is 2"},
		{"a pointer of 2", decodeError[*int](t, 2, 0), "*int: a pointer is 2"},
		{"a pointer to nothing", decodeError[*int64](t, 1, 0, 0, 0, 0, 0, 0, 0), "it ends too early"},
		{"no pointer", decodeError[*int](t), "it ends too early"},
		{"something behind a pointer", decodeError[*int](t, 0, 0), "its length is wrong"},
		{"a nil string", decodeError[[]string](t, 2, 0), "[]string[0]: it is nil"},
		{"a string that is cut off", decodeError[[]string](t, 2, 3, 'a'), "[]string[0]: it ends too early"},
		{"a string with an endless length", decodeError[[]string](t, append([]byte{2}, endless...)...), "it ends too early"},
		{"a slice that is longer than its bytes", decodeError[[]string](t, 4, 1, 1), "it ends too early"},
		{"a slice of nothing that is too long", decodeError[[]struct{}](t, bytes.Repeat([]byte{0xff}, 9)...), "it ends too early"},
		{"a slice of blanks that is longer than its bytes", decodeError[[]struct{ _ int }](t, 4, 0, 0), "it ends too early"},
		{"half a number", decodeError[struct{ A []int32 }](t, 4, 1, 2, 3), ".A: "},
		{"a key twice", decodeError[map[string]bool](t, 3, 2, 'a', 0, 2, 'a', 0), "map[string]bool[key]: a key is there twice"},
		{"a key that is cut off", decodeError[map[string]bool](t, 2, 4, 'a', 0), "map[string]bool[key]: it ends too early"},
		{"a value that is no bool", decodeError[map[string]bool](t, 2, 1, 2), "map[string]bool[]: a bool is 2"},
		{"a map that is longer than its bytes", decodeError[map[string]bool](t, 3, 1, 0, 1), "it ends too early"},
		{"a time of 10^9 ns", decodeError[time.Time](t, append(at(0, 0xca, 0x9a, 0x3b), 0)...), "it is no time"},
		{"a time nowhere", decodeError[time.Time](t, append(at(0, 0, 0, 0), 3, 0, 1)...), "it is no time"},
		{"a time that is cut off", decodeError[time.Time](t, at(0, 0, 0, 0)...), "it ends too early"},
		{"a time without an offset", decodeError[time.Time](t, append(at(0, 0, 0, 0), 2)...), "it ends too early"},
		{"a time with an endless offset", decodeError[time.Time](t, append(at(0, 0, 0, 0, 2), endless...)...), "it ends too early"},
		{"a time without a name", decodeError[time.Time](t, append(at(0, 0, 0, 0), 2, 2)...), "it ends too early"},
		{"a time with a nil name", decodeError[time.Time](t, append(at(0, 0, 0, 0), 2, 2, 0)...), "it is nil"},
		{"no big number", decodeError[big.Int](t), "it ends too early"},
		{"a big number with a sign of 2", decodeError[big.Int](t, 2, 2, 1), "it has no sign"},
		{"a big number that is cut off", decodeError[big.Int](t, 1, 3, 1), "it ends too early"},
		{"a marshaler's bytes that are cut off", decodeError[struct{ A secret }](t, 5, 0, 0, 0), ".A: it ends too early"},
		{"a marshaler's bytes that are nil", decodeError[struct{ A secret }](t, 0), ".A: it is nil"},
		{"a marshaler's bytes that it refuses", decodeError[struct{ A secret }](t, 2, 1), ".A: its UnmarshalBinary failed: a secret has 4 bytes"},
	} {
		if row.err == nil || !strings.HasPrefix(row.err.Error(), "cannot decode ") || !strings.Contains(row.err.Error(), row.want) {
			t.Errorf("%s: %v; want an error with %q", row.name, row.err, row.want)
		}
	}
	for name, err := range map[string]error{
		"999,999,999 ns":   decodeError[time.Time](t, append(at(0xff, 0xc9, 0x9a, 0x3b), 0)...),
		"a fixed zone":     decodeError[time.Time](t, append(at(0, 0, 0, 0), 2, 2, 1)...),
		"minus 1":          decodeError[big.Int](t, 1, 2, 1),
		"2^62 of nothing":  decodeError[[]struct{}](t, 0x81, 0x80, 0x80, 0x80, 4),
		"a pointer to one": decodeError[*int8](t, 1, 1),
	} {
		if err != nil {
			t.Errorf("%s: %v; want no error", name, err)
		}
	}
}

func decodeError[T any](t *testing.T, data ...byte) error {
	t.Helper()
	v, err := codecOf[T](t).Decode(data)
	if err != nil && !reflect.ValueOf(v).IsZero() {
		t.Errorf("%T from %x: a value and an error", v, data)
	}
	return err
}

// Numbers are little endian wherever they were in memory.
func TestNumbersAreTurnedRoundOnOtherMachines(t *testing.T) {
	type numbers struct {
		A uint32
		B [2]uint16
		C complex64
		D []uint32
		E [][]uint16
		F bool
		G []byte
	}
	v := numbers{0x01020304, [2]uint16{0x0102, 0x0304}, complex(1, 2), []uint32{0x01020304, 0x05060708}, [][]uint16{{0x0102}, {}, nil}, true, []byte{1, 2}}
	complex1, complex2 := []byte{0x3f, 0x80, 0, 0}, []byte{0x40, 0, 0, 0}
	want := slices.Concat([]byte{1, 2, 3, 4, 1, 2, 3, 4}, complex1, complex2, []byte{9, 1, 2, 3, 4, 5, 6, 7, 8, 4, 3, 1, 2, 1, 0, 1, 3, 1, 2})
	f := codecOf[numbers](t)
	was, _ := f.Append(nil, v)
	codec.OnBigEndian(func() {
		data, err := f.Append(nil, v)
		if err != nil || !bytes.Equal(data, want) {
			t.Errorf("%x, %v; want %x, the words of %x turned round", data, err, want, was)
		}
		sendAll(t, v)
		sendAll(t, uint32(0x01020304))
		sendAll(t, complex(1, math.Inf(1)))
		sendAll(t, []uint64{1, 2, 3})
		sendAll(t, []complex128{1i})
		for value, err := range map[string]error{
			"0x01020304":     wantBytes(t, uint32(0x01020304), 1, 2, 3, 4),
			"0":              wantBytes(t, big.Int{}, 0, 1),
			"-1":             wantBytes(t, *big.NewInt(-1), 1, 2, 1),
			"256":            wantBytes(t, big.NewInt(256), 1, 0, 3, 1, 0),
			"{0x0102, 0x03}": wantBytes(t, []uint16{0x0102, 0x03}, 1, 2, 0, 3),
		} {
			if err != nil {
				t.Errorf("%s: %v", value, err)
			}
		}
		if _, ok := codecOf[uint32](t).ViewAll([]uint32{1}); ok {
			t.Error("ViewAll is ok where memory is no encoding")
		}
		if _, ok := codecOf[uint32](t).AliasAll(make([]byte, 4)); ok {
			t.Error("AliasAll is ok where memory is no encoding")
		}
	})
}

func wantBytes[T any](t *testing.T, v T, want ...byte) error {
	data, err := codecOf[T](t).Append(nil, v)
	if err == nil && !bytes.Equal(data, want) {
		err = fmt.Errorf("it is %x; want %x", data, want)
	}
	return err
}

// loud is a bool, and is encoded as something else.
type loud bool

func (l loud) MarshalBinary() ([]byte, error) { return fmt.Appendf(nil, "%t!", bool(l)), nil }
func (l *loud) UnmarshalBinary(b []byte) error {
	*l = string(b) == "true!"
	return nil
}

func TestBoolsWithMarshalersAreNoPlainOnes(t *testing.T) {
	if err := wantBytes(t, loud(true), append([]byte{6}, "true!"...)...); err != nil {
		t.Error(err)
	}
	sendAll(t, []loud{true, false})
	sendAll(t, loud(true))
}

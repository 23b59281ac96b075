package codec_test

import (
	"encoding"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"net/netip"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/gofutures/futures/executor/internal/codec"
)

// The types that the tests of this package send. subjects has them all.
type (
	celsius float64
	label   string
	flag    bool
	pixels  []uint16

	// flat needs no CBOR.
	flat struct {
		A int
		B int8
		C uint16
		D float32
		E complex64
		F bool
		G string
		H []byte
		I []float64
		J [3]int16
		K [2]string
		L [2]struct{ X, Y celsius }
		M struct{}
		N label
		O pixels
		_ int
		P flag
		Embedded2
	}
	Embedded  struct{ Q int }
	Embedded2 struct {
		R []int32
		S string
	}

	// plain needs CBOR only in a slice.
	plain struct {
		F float32
		S label
		B []byte
		N [2]int8
	}

	// fixed is always as long.
	fixed struct {
		A int64
		B bool
		C [3]uint8
		D struct{ E, F float32 }
	}

	deep struct {
		Strings []string
		Bytes   [][]byte
		Slices  [][][]int
		Flags   []bool
		Labels  []label
		Points  []struct{ X, Y int }
		Ptrs    []*inner
		Ints    [3]*int
		Floats  []*float32
		Empty   struct{}
		None    *struct{}
		Fixed   *fixed
		Small   [4]byte
	}
	inner struct {
		A int
		B []string
		M map[string]int8
	}
	mapped struct {
		S map[string]string
		L map[label]*inner
		I map[int][]byte
		U map[uint64]map[bool]string
		N map[int8]struct{}
		F map[string]float64
	}
	known struct {
		T   time.Time
		Ts  []time.Time
		Big *big.Int
		Val big.Int
		D   time.Duration
		A   netip.Addr
		As  map[string]netip.Prefix
		U   *url.URL
	}
	withEmbedded struct {
		Embedded
		Embedded2 `cbor:"named"`
		*Inner2   `cbor:"pointer"`
		Own       map[string]Embedded
	}
	Inner2 struct{ Z []string }

	tree struct {
		Value int
		Kids  []*tree
		By    map[string]tree
	}
	list struct {
		Value string
		Next  *list
	}
	even struct{ Odd *odd }
	odd  struct {
		Evens []even
		At    time.Time
	}

	// tagged has tags that are for others.
	tagged struct {
		_ struct{}            `cbor:",toarray"`
		A []string            `cbor:",omitempty"`
		B map[string]string   `json:"b,omitempty"`
		C float32             `json:",omitempty"`
		D float64             `json:",omitzero"`
		E [1]float64          `json:",omitzero"`
		F struct{ G float64 } `cbor:",omitzero"`
		H []byte              `cbor:"1,keyasint,omitempty"`
		I string              `json:"-"`
		J *int                `cbor:"-"`
		K int                 `cbor:"b"`
		L json.RawMessage     `json:",omitempty"`
		M time.Time           `json:",omitzero"`
		N emptyIsNothing      `json:",omitempty"`
		O *tagged             `json:"o,omitempty"`
	}

	// likeNothing has what has no bytes, and what may be nil in several ways.
	likeNothing struct {
		A []struct{}
		B []struct{ _ int }
		C [3]struct{ _ int }
		D [][0]string
		E **int
		F *[]int
		G *map[string]*string
		H map[struct{}]int
		I []*struct{}
		J *time.Time
	}

	keys struct {
		A map[float64]int
		B map[complex64]string
		C map[[2]label][]float32
		D map[struct {
			X float32
			Y string
			_ int
		}]*int
		E map[flag]complex128
	}

	// marshaled has types with marshalers of their own, of all kinds.
	marshaled struct {
		A secret
		B *secret
		C []secret
		D map[string]secret
		E bag
		F []bag
		G word
		H raw
		I [2]*raw
		J onlySecret
		K map[int8]emptyIsNothing
	}
	onlySecret struct{ Secret2 }
	Secret2    struct{ secret }
)

// secret has marshalers for its pointer.
type secret struct{ x uint32 }

func (s *secret) MarshalBinary() ([]byte, error) {
	return binary.LittleEndian.AppendUint32(nil, s.x), nil
}
func (s *secret) UnmarshalBinary(b []byte) error {
	if len(b) != 4 {
		return errors.New("a secret has 4 bytes")
	}
	s.x = binary.LittleEndian.Uint32(b)
	return nil
}
func (s *secret) draw(t *rapid.T) { s.x = rapid.Uint32().Draw(t, "secret") }

// bag has marshalers for its value, and a cycle inside.
type bag struct {
	Self *bag
	text string
}

func (b bag) MarshalBinary() ([]byte, error) { return []byte(b.text), nil }
func (b *bag) UnmarshalBinary(data []byte) error {
	b.text = string(data)
	b.Self = b
	return nil
}
func (b *bag) draw(t *rapid.T) {
	b.text = rapid.String().Draw(t, "bag")
	b.Self = b
}

// word is a number, and is encoded as something else.
type word uint8

func (w word) MarshalBinary() ([]byte, error) { return fmt.Appendf(nil, "%d", w), nil }
func (w *word) UnmarshalBinary(b []byte) error {
	_, err := fmt.Sscanf(string(b), "%d", w)
	return err
}

// raw has CBOR marshalers.
type raw struct{ parts []string }

func (r raw) MarshalCBOR() ([]byte, error) { return []byte(strings.Join(r.parts, ",")), nil }
func (r *raw) UnmarshalCBOR(data []byte) error {
	r.parts = strings.Split(string(data), ",")
	return nil
}
func (r *raw) draw(t *rapid.T) {
	r.parts = rapid.SliceOfN(rapid.StringMatching("[a-z]*"), 1, 3).Draw(t, "raw")
}

// emptyIsNothing makes no bytes of an empty set, which is not the zero value.
type emptyIsNothing struct{ set map[byte]bool }

func (e emptyIsNothing) MarshalBinary() ([]byte, error) {
	if e.set == nil {
		return []byte("none"), nil
	}
	return slices.Sorted(maps.Keys(e.set)), nil
}
func (e *emptyIsNothing) UnmarshalBinary(data []byte) error {
	if string(data) == "none" {
		return nil
	}
	e.set = make(map[byte]bool)
	for _, b := range data {
		e.set[b] = true
	}
	return nil
}
func (e *emptyIsNothing) draw(t *rapid.T) {
	if n := rapid.IntRange(-1, 3).Draw(t, "set"); n >= 0 {
		e.set = make(map[byte]bool)
		for i := range n {
			e.set[byte(i)] = true
		}
	}
}

// subject is a type that can cross.
type subject struct {
	name string
	typ  reflect.Type
	// The values go in and come out as pointers.
	encode   func(v any) ([]byte, error)
	appendTo func(b []byte, v any) []byte
	decode   func(data []byte) (any, error)
	codec    interface {
		Size() int
		Plain() bool
		Describe() string
	}
}

func subjectOf[T any]() subject {
	typ := reflect.TypeFor[T]()
	c, err := codec.For[T]()
	if err != nil {
		panic(fmt.Sprintf("%v: %v", typ, err))
	}
	return subject{
		name:   typ.String(),
		typ:    typ,
		encode: func(v any) ([]byte, error) { return c.Append(nil, *v.(*T)) },
		appendTo: func(b []byte, v any) []byte {
			b, _ = c.Append(b, *v.(*T))
			return b
		},
		decode: func(data []byte) (any, error) {
			v, err := c.Decode(data)
			return &v, err
		},
		codec: c,
	}
}

var subjects = []subject{
	subjectOf[int](), subjectOf[int8](), subjectOf[int16](), subjectOf[int32](), subjectOf[int64](),
	subjectOf[uint](), subjectOf[uint8](), subjectOf[uint16](), subjectOf[uint32](), subjectOf[uint64](),
	subjectOf[float32](), subjectOf[float64](), subjectOf[complex64](), subjectOf[complex128](), subjectOf[bool](),
	subjectOf[celsius](), subjectOf[flag](), subjectOf[time.Duration](),
	subjectOf[string](), subjectOf[label](), subjectOf[[]byte](), subjectOf[[]int](), subjectOf[[]int8](), subjectOf[[]uint16](), subjectOf[[]float32](),
	subjectOf[[]complex64](), subjectOf[[]complex128](), subjectOf[[]celsius](), subjectOf[pixels](),
	subjectOf[struct{}](), subjectOf[flat](), subjectOf[fixed](), subjectOf[[2]flat](), subjectOf[[3]float64](), subjectOf[[3]bool](), subjectOf[[0]string](),
	subjectOf[[]plain](), subjectOf[*fixed](), subjectOf[*int](), subjectOf[*string](), subjectOf[[]bool](), subjectOf[[]string](), subjectOf[[][]byte](), subjectOf[[]*string](),
	subjectOf[deep](), subjectOf[*deep](), subjectOf[mapped](), subjectOf[known](), subjectOf[withEmbedded](),
	subjectOf[map[string]int](), subjectOf[map[string][]string](), subjectOf[map[int32]map[string]bool](),
	subjectOf[time.Time](), subjectOf[[]time.Time](), subjectOf[big.Int](), subjectOf[*big.Int](), subjectOf[map[string]*big.Int](), subjectOf[netip.Addr](), subjectOf[url.URL](),
	subjectOf[tree](), subjectOf[*tree](), subjectOf[list](), subjectOf[even](), subjectOf[[]*odd](),
	subjectOf[tagged](), subjectOf[[]tagged](), subjectOf[map[string]tagged](), subjectOf[likeNothing](), subjectOf[keys](),
	subjectOf[**int](), subjectOf[*[]string](), subjectOf[[][]complex64](), subjectOf[*time.Time](), subjectOf[map[float32]float32](), subjectOf[struct{ *Inner2 }](),
	subjectOf[secret](), subjectOf[*secret](), subjectOf[bag](), subjectOf[word](), subjectOf[[]word](), subjectOf[raw](), subjectOf[marshaled](), subjectOf[onlySecret](),
}

// draw makes a random value of any of the types above; the deeper, the smaller.
func draw(t *rapid.T, v reflect.Value, depth int) {
	size := func() int { return rapid.IntRange(0, max(0, 4-depth)).Draw(t, "size") }
	isNil := func() bool { return depth > 8 || rapid.IntRange(0, 2).Draw(t, "nil") == 0 }
	switch p := v.Addr().Interface().(type) {
	case interface{ draw(*rapid.T) }:
		p.draw(t)
		return
	case *time.Time:
		*p = drawTime(t)
		return
	case *big.Int:
		p.SetBytes(rapid.SliceOfN(rapid.Byte(), 0, 20).Draw(t, "big"))
		if rapid.Bool().Draw(t, "sign") {
			p.Neg(p)
		}
		return
	case *netip.Addr:
		*p, _ = netip.AddrFromSlice(rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "addr"))
		return
	case *netip.Prefix:
		*p = netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 0, 1}), rapid.IntRange(0, 32).Draw(t, "bits"))
		return
	case *url.URL:
		u, err := url.Parse("https://user:word@host:80/" + url.PathEscape(rapid.String().Draw(t, "path")) + "?q=1#f")
		if err != nil {
			t.Fatal(err)
		}
		*p = *u
		return
	}
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(rapid.Bool().Draw(t, "bool"))
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(rapid.Int64().Draw(t, "int") >> (64 - v.Type().Bits()))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(rapid.Uint64().Draw(t, "uint") >> (64 - v.Type().Bits()))
	case reflect.Float32, reflect.Float64, reflect.Complex64, reflect.Complex128: // any bits: NaNs, -0, infinities
		memory := bytesOf(v)
		if rapid.IntRange(0, 3).Draw(t, "special") > 0 {
			copy(memory, rapid.SliceOfN(rapid.Byte(), len(memory), len(memory)).Draw(t, "bits"))
			return
		}
		last := rapid.SampledFrom([]byte{0x7f, 0xff, 0x80, 0x00}).Draw(t, "sign and exponent")
		memory[len(memory)-1] = last
		if last&0x7f == 0x7f {
			memory[len(memory)-2] = rapid.SampledFrom([]byte{0x80, 0xf0, 0xf8, 0xc0, 0xa0, 0xf4}).Draw(t, "exponent")
		}
	case reflect.String:
		if rapid.Bool().Draw(t, "text") {
			v.SetString(rapid.String().Draw(t, "string"))
		} else {
			v.SetString(string(rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "string"))) // mostly no UTF-8
		}
	case reflect.Slice:
		if isNil() {
			return
		}
		n := size()
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			draw(t, v.Index(i), depth+1)
		}
	case reflect.Array:
		for i := range v.Len() {
			draw(t, v.Index(i), depth+1)
		}
	case reflect.Map:
		if isNil() {
			return
		}
		v.Set(reflect.MakeMap(v.Type()))
		for range size() {
			key, elem := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			draw(t, key, depth+1)
			draw(t, elem, depth+1)
			v.SetMapIndex(key, elem)
		}
	case reflect.Pointer:
		if isNil() {
			return
		}
		v.Set(reflect.New(v.Type().Elem()))
		draw(t, v.Elem(), depth+1)
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).Name != "_" {
				draw(t, v.Field(i), depth+1)
			}
		}
	default:
		t.Fatalf("draw: no values of type %v", v.Type())
	}
}

// drawTime makes any time in any zone, the zero time among them.
func drawTime(t *rapid.T) time.Time {
	at := time.Unix(rapid.Int64().Draw(t, "seconds"), rapid.Int64Range(0, 999999999).Draw(t, "nanos"))
	switch rapid.IntRange(0, 5).Draw(t, "time") {
	case 0:
		at = time.Now()
	case 1:
		at = time.Time{}
	}
	switch rapid.IntRange(0, 3).Draw(t, "zone") {
	case 0:
		return at
	case 1:
		return at.UTC()
	case 2:
		return at.In(time.FixedZone("", rapid.IntRange(-90_000, 90_000).Draw(t, "offset")))
	}
	return at.In(time.FixedZone(string(rapid.SliceOf(rapid.Byte()).Draw(t, "name")), rapid.Int().Draw(t, "offset")))
}

// bytesOf is the memory of a number.
func bytesOf(v reflect.Value) []byte {
	return reflect.SliceAt(reflect.TypeFor[byte](), v.Addr().UnsafePointer(), int(v.Type().Size())).Bytes()
}

// differ returns what b is and what a was, "" if they are the same.
func differ(a, b reflect.Value) string {
	if was, is := dump(a), dump(b); was != is {
		return fmt.Sprintf("is %s, was %s", is, was)
	}
	return ""
}

// dump returns a text that two values have in common exactly if they are the same:
// numbers by their bits, nil and empty told apart, times by instant, offset and
// name of the zone, and what has marshalers by what these return.
func dump(v reflect.Value) string {
	if !v.CanAddr() {
		p := reflect.New(v.Type()).Elem()
		p.Set(v)
		v = p
	}
	switch x := v.Addr().Interface().(type) {
	case *time.Time:
		name, offset := x.Zone()
		return fmt.Sprintf("time %d %d %d %q", x.Unix(), x.Nanosecond(), offset, name)
	case *big.Int:
		return "big " + x.String()
	case interface{ MarshalCBOR() ([]byte, error) }:
		data, err := x.MarshalCBOR()
		return fmt.Sprintf("marshaled %q %v", data, err)
	case encoding.BinaryMarshaler:
		if v.Kind() != reflect.Pointer {
			data, err := x.MarshalBinary()
			return fmt.Sprintf("marshaled %q %v", data, err)
		}
	}
	switch v.Kind() {
	case reflect.Float32, reflect.Float64, reflect.Complex64, reflect.Complex128:
		return fmt.Sprintf("%x", bytesOf(v))
	case reflect.String:
		return strconv.Quote(v.String())
	case reflect.Slice, reflect.Map, reflect.Pointer:
		if v.IsNil() {
			return "nil"
		}
	}
	var parts []string
	switch v.Kind() {
	case reflect.Slice, reflect.Array:
		if v.Type().Elem().Size() == 0 {
			return fmt.Sprint(v.Len(), " of nothing")
		}
		for i := range v.Len() {
			parts = append(parts, dump(v.Index(i)))
		}
	case reflect.Map:
		for it := v.MapRange(); it.Next(); {
			parts = append(parts, dump(it.Key())+":"+dump(it.Value()))
		}
		slices.Sort(parts)
	case reflect.Pointer:
		return "&" + dump(v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			if name := v.Type().Field(i).Name; name != "_" {
				parts = append(parts, name+" "+dump(v.Field(i)))
			}
		}
	default:
		return fmt.Sprint(v)
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

// codecOf is For where it cannot fail.
func codecOf[T any](t testing.TB) *codec.Codec[T] {
	t.Helper()
	c, err := codec.For[T]()
	if err != nil {
		t.Fatalf("For[%v]: %v", reflect.TypeFor[T](), err)
	}
	return c
}

package codec_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"net/netip"
	"net/url"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/fxamacker/cbor/v2"
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
	maps struct {
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

	inArray struct {
		_ struct{} `cbor:",toarray"`
		A int
		B []string
		C map[string]*inArray
	}
	byNumber struct {
		A int            `cbor:"1,keyasint"`
		B []string       `cbor:"-2,keyasint"`
		C map[string]int `cbor:"1"`
	}
	renamed struct {
		A []string `json:"b"`
		B []string `cbor:"a" json:"-"`
		C string   `json:"c d,string"`
		D *int     `cbor:"-,"`
	}
	gone struct {
		A []string          `cbor:",omitempty"`
		B map[string]string `json:"b,omitempty"`
		C int               `cbor:",omitzero"`
		D string            `cbor:"d,omitempty"`
		E *int              `cbor:",omitempty"`
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

func (r raw) MarshalCBOR() ([]byte, error)     { return cbor.Marshal(r.parts) }
func (r *raw) UnmarshalCBOR(data []byte) error { return cbor.Unmarshal(data, &r.parts) }
func (r *raw) draw(t *rapid.T)                 { r.parts = rapid.SliceOfN(rapid.String(), 1, 3).Draw(t, "raw") }

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
	subjectOf[deep](), subjectOf[*deep](), subjectOf[maps](), subjectOf[known](), subjectOf[withEmbedded](),
	subjectOf[map[string]int](), subjectOf[map[string][]string](), subjectOf[map[int32]map[string]bool](),
	subjectOf[time.Time](), subjectOf[[]time.Time](), subjectOf[big.Int](), subjectOf[*big.Int](), subjectOf[map[string]*big.Int](), subjectOf[netip.Addr](), subjectOf[url.URL](),
	subjectOf[tree](), subjectOf[*tree](), subjectOf[list](), subjectOf[even](), subjectOf[[]*odd](),
	subjectOf[inArray](), subjectOf[byNumber](), subjectOf[renamed](),
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
		zone := time.UTC
		if rapid.Bool().Draw(t, "zoned") {
			zone = time.FixedZone("", 60*rapid.IntRange(-14*60, 14*60).Draw(t, "offset"))
		}
		*p = time.Unix(rapid.Int64Range(-62135596801, 253402128000).Draw(t, "seconds"), rapid.Int64Range(0, 999999999).Draw(t, "nanos")).In(zone)
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

// bytesOf is the memory of a number.
func bytesOf(v reflect.Value) []byte {
	return reflect.SliceAt(reflect.TypeFor[byte](), v.Addr().UnsafePointer(), int(v.Type().Size())).Bytes()
}

// differ returns where b is not what a was, "" if they are the same: numbers by
// their bits, nil and empty told apart, times by instant and offset. A
// signalling NaN of 32 bits may have become quiet.
func differ(a, b reflect.Value, path string) string {
	if !a.CanAddr() {
		a, b = addressable(a), addressable(b)
	}
	switch x := a.Addr().Interface().(type) {
	case *time.Time:
		y := b.Addr().Interface().(*time.Time)
		_, xOff := x.Zone()
		_, yOff := y.Zone()
		if !x.Equal(*y) || xOff != yOff {
			return fmt.Sprintf("%s: %v, was %v", path, y, x)
		}
		return ""
	case *big.Int:
		if y := b.Addr().Interface().(*big.Int); x.Cmp(y) != 0 {
			return fmt.Sprintf("%s: %v, was %v", path, y, x)
		}
		return ""
	case *netip.Addr, *netip.Prefix, *url.URL:
		if !reflect.DeepEqual(a.Interface(), b.Interface()) {
			return fmt.Sprintf("%s: %v, was %v", path, b, a)
		}
		return ""
	case *bag:
		if y := b.Addr().Interface().(*bag); x.text != y.text {
			return fmt.Sprintf("%s: %q, was %q", path, y.text, x.text)
		}
		return ""
	}
	switch a.Kind() {
	case reflect.Float32:
		x, y := bytes.Clone(bytesOf(a)), bytesOf(b)
		if f := a.Float(); f != f && y[2] == x[2]|0x40 { // the quiet bit; little-endian machines only
			x[2] |= 0x40
		}
		if !bytes.Equal(x, y) {
			return fmt.Sprintf("%s: %x, was %x", path, y, x)
		}
	case reflect.Float64, reflect.Complex64, reflect.Complex128:
		if x, y := bytesOf(a), bytesOf(b); !bytes.Equal(x, y) {
			return fmt.Sprintf("%s: %x, was %x", path, y, x)
		}
	case reflect.Slice, reflect.Map:
		if a.IsNil() != b.IsNil() || a.Len() != b.Len() {
			return fmt.Sprintf("%s: %#v, was %#v", path, b, a)
		}
		if a.Kind() == reflect.Map {
			for it := a.MapRange(); it.Next(); {
				at := fmt.Sprintf("%s[%#v]", path, it.Key())
				other := b.MapIndex(it.Key())
				if !other.IsValid() {
					return at + ": is gone"
				}
				if d := differ(it.Value(), other, at); d != "" {
					return d
				}
			}
			return ""
		}
		fallthrough
	case reflect.Array:
		for i := range a.Len() {
			if d := differ(a.Index(i), b.Index(i), fmt.Sprintf("%s[%d]", path, i)); d != "" {
				return d
			}
		}
	case reflect.Pointer:
		if a.IsNil() != b.IsNil() {
			return fmt.Sprintf("%s: %#v, was %#v", path, b, a)
		}
		if !a.IsNil() {
			return differ(a.Elem(), b.Elem(), "(*"+path+")")
		}
	case reflect.Struct:
		for i := range a.NumField() {
			f := a.Type().Field(i)
			if f.Name == "_" {
				continue
			}
			x, y := a.Field(i), b.Field(i)
			if !f.IsExported() { // of a type with marshalers
				x, y = reflect.NewAt(f.Type, x.Addr().UnsafePointer()).Elem(), reflect.NewAt(f.Type, y.Addr().UnsafePointer()).Elem()
			}
			if d := differ(x, y, path+"."+f.Name); d != "" {
				return d
			}
		}
	default:
		if a.Interface() != b.Interface() {
			return fmt.Sprintf("%s: %#v, was %#v", path, b, a)
		}
	}
	return ""
}

func addressable(v reflect.Value) reflect.Value {
	p := reflect.New(v.Type()).Elem()
	p.Set(v)
	return p
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

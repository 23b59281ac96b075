package digest_test

import (
	"fmt"
	"math"
	"math/big"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gofutures/futures/executor"
	"github.com/gofutures/futures/parallel/internal/digest"
	"pgregory.net/rapid"
)

// all is a type with values of all kinds, which can be encoded too.
type all struct {
	A bool             `json:",omitempty"`
	B int8             `cbor:"-"`
	C float32          `json:",omitempty"`
	D complex128       `json:",omitzero"`
	E string           `json:"e,omitempty"`
	F []byte           `json:",omitempty"`
	G []string         `json:",omitempty"`
	H map[float64]byte `json:",omitempty"`
	I *int             `json:"-"`
	J **int
	K [2]float32
	L time.Time
	M *time.Time
	N *big.Int
	O []struct{}
	P map[[2]int16]struct{ X float64 }
	Q []*all
	R map[string]all
	S []sealed
	T *[]int
	_ int
}

// sealed has marshalers of its own.
type sealed struct{ text string }

func (s sealed) MarshalBinary() ([]byte, error) {
	if s.text == "fails" {
		return nil, errTouchy
	}
	return []byte(s.text), nil
}

func (s *sealed) UnmarshalBinary(data []byte) error {
	s.text = string(data)
	return nil
}

// draw makes a random value of all, or of a type in it, from few values each, so
// that two of them are often the same.
func draw(t *rapid.T, v reflect.Value, depth int) {
	some := func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "some") }
	switch p := v.Addr().Interface().(type) {
	case *time.Time:
		zones := []*time.Location{time.UTC, time.FixedZone("UTC", 0), time.FixedZone("", 0), time.FixedZone("a", 3600), time.FixedZone("b", 3600), time.FixedZone("a", -1)}
		*p = []time.Time{{}, time.Unix(0, 0), time.Unix(0, 1), time.Unix(math.MaxInt64, 0)}[some(4)].In(zones[some(6)])
		return
	case *big.Int:
		p.SetInt64(int64(some(3) - 1))
		return
	case *sealed:
		p.text = []string{"", "text", "text", "text", "fails"}[some(5)]
		return
	}
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(some(2) == 0)
	case reflect.Int, reflect.Int8, reflect.Int16:
		v.SetInt(int64(some(2)))
	case reflect.Uint8:
		v.SetUint(uint64(some(2)))
	case reflect.Float32:
		*v.Addr().Interface().(*float32) = math.Float32frombits([]uint32{0, 0x80000000, 0x7fc00000, 0x7f800001}[some(4)])
	case reflect.Float64:
		*v.Addr().Interface().(*float64) = math.Float64frombits([]uint64{0, 1 << 63, 0x7ff8000000000000, 0x7ff0000000000001}[some(4)])
	case reflect.Complex128:
		v.SetComplex([]complex128{0, complex(0, math.Copysign(0, -1)), complex(math.NaN(), 0)}[some(3)])
	case reflect.String:
		v.SetString([]string{"", "a", "\xff"}[some(3)])
	case reflect.Slice:
		if n := some(3) - 1; n >= 0 && depth < 4 {
			v.Set(reflect.MakeSlice(v.Type(), n, n+some(2)))
			for i := range n {
				draw(t, v.Index(i), depth+1)
			}
		}
	case reflect.Array:
		for i := range v.Len() {
			draw(t, v.Index(i), depth+1)
		}
	case reflect.Map:
		if n := some(3) - 1; n >= 0 && depth < 4 {
			v.Set(reflect.MakeMap(v.Type()))
			for range n {
				key, elem := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
				draw(t, key, depth+1)
				draw(t, elem, depth+1)
				v.SetMapIndex(key, elem)
			}
		}
	case reflect.Pointer:
		if some(2) == 0 && depth < 4 {
			v.Set(reflect.New(v.Type().Elem()))
			draw(t, v.Elem(), depth+1)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).Name != "_" {
				draw(t, v.Field(i), depth+1)
			}
		}
	default:
		t.Fatalf("no values of type %v", v.Type())
	}
}

// dump returns a text that two values have in common exactly if they are the same.
func dump(v reflect.Value) string {
	if !v.CanAddr() {
		p := reflect.New(v.Type()).Elem()
		p.Set(v)
		v = p
	}
	switch p := v.Addr().Interface().(type) {
	case *time.Time:
		name, offset := p.Zone()
		return fmt.Sprint(p.Unix(), " ", p.Nanosecond(), " ", offset, " ", name)
	case *big.Int:
		return p.String()
	case *sealed:
		return p.text
	}
	var parts []string
	switch v.Kind() {
	case reflect.Float32, reflect.Float64, reflect.Complex128:
		return fmt.Sprintf("%x", reflect.SliceAt(reflect.TypeFor[byte](), v.Addr().UnsafePointer(), int(v.Type().Size())).Bytes())
	case reflect.String:
		return fmt.Sprintf("%q", v.String())
	case reflect.Slice, reflect.Map, reflect.Pointer:
		if v.IsNil() {
			return "nil"
		}
	}
	switch v.Kind() {
	case reflect.Slice, reflect.Array:
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
			if v.Type().Field(i).Name != "_" {
				parts = append(parts, dump(v.Field(i)))
			}
		}
	default:
		return fmt.Sprint(v)
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

// What is sent to another process has the same digest there, and two values have
// one digest exactly if they are the same. What one of the two refuses, so does
// the other.
func TestDigestsAreThoseOfWhatArrives(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		agree[all](t)
		agree[time.Time](t)
		agree[map[float64]byte](t)
		agree[[]float32](t)
		agree[[]struct {
			A *time.Time
			B []struct{ F float32 } `json:",omitempty"`
		}](t)
	})
}

func agree[T any](t *rapid.T) {
	var a, b T
	draw(t, reflect.ValueOf(&a).Elem(), 2)
	draw(t, reflect.ValueOf(&b).Elem(), 2)
	was, err := hashOf(a)
	data, encodeErr := executor.Encode(a)
	if (err == nil) != (encodeErr == nil) {
		t.Fatalf("%T: Hash: %v, and Encode: %v; want both to refuse it, or none", a, err, encodeErr)
	}
	if err != nil {
		if reason := " failed: no such thing"; !strings.HasSuffix(err.Error(), reason) || !strings.HasSuffix(encodeErr.Error(), reason) {
			t.Fatalf("%T: Hash: %v, and Encode: %v; want both to say why", a, err, encodeErr)
		}
		return
	}
	got, err := executor.Decode[T](data)
	if err != nil {
		t.Fatal(err)
	}
	if is, err := hashOf(got); err != nil || is != was {
		t.Fatalf("%s has arrived as %s, with another digest (%v)", dump(reflect.ValueOf(a)), dump(reflect.ValueOf(got)), err)
	}
	if other, err := hashOf(b); err == nil {
		if x, y := dump(reflect.ValueOf(a)), dump(reflect.ValueOf(b)); (x == y) != (other == was) {
			t.Fatalf("%s and %s have one digest: %t", x, y, other == was)
		}
	}
}

func hashOf[T any](v T) ([32]byte, error) {
	h, err := digest.For(reflect.TypeFor[T]())
	if err != nil {
		return [32]byte{}, err
	}
	return h.Sum(reflect.ValueOf(&v).Elem())
}

// Values of all depths around the limit, built of all that counts as a level, and
// of what does not.
func TestHashAndEncodeRefuseTheSameDepth(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		levels := 0
		var v level
		switch rapid.IntRange(0, 4).Draw(t, "innermost") {
		case 0:
			v.Numbers, levels = []int{}, 1
		case 1:
			v.Texts, levels = []string{"a"}, 1
		case 2:
			v.Sealed, levels = &sealed{}, 1
		case 3:
			v.Map, levels = map[string]level{}, 1
		}
		goal := rapid.IntRange(997, 1003).Draw(t, "levels")
		for levels < goal {
			inner := v
			switch v = (level{}); rapid.IntRange(0, 3).Draw(t, "kind") {
			case 0:
				v.Pointer = &inner
				levels++
			case 1:
				v.Slice = []level{{}, inner}
				levels++
			case 2:
				v.Map = map[string]level{"": inner}
				levels++
			case 3:
				v.Both = []*level{&inner}
				levels += 2
			}
		}
		_, err := hashOf(v)
		_, encodeErr := executor.Encode(v)
		if isDeep := levels > 1000; isDeep != (err != nil) || isDeep != (encodeErr != nil) {
			t.Fatalf("%d levels: Hash: %v, and Encode: %v; want an error above 1000", levels, err, encodeErr)
		}
		if err != nil && "executor: Encode: cannot encode "+err.Error() != encodeErr.Error() {
			t.Fatalf("Hash: %v, and Encode: %v; want the same way and reason", err, encodeErr)
		}
	})
}

type level struct {
	Numbers []int
	Texts   []string
	Sealed  *sealed
	Map     map[string]level
	Pointer *level
	Slice   []level
	Both    []*level
}

// 400 nodes with a slice each are 800 levels.
func TestNodesWithSlicesAreTakenByBoth(t *testing.T) {
	type node struct{ Kids []*node }
	v := new(node)
	for range 400 {
		v = &node{[]*node{v}}
	}
	if _, err := hashOf(v); err != nil {
		t.Errorf("Hash: %v", err)
	}
	data, err := executor.Encode(v)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := executor.Decode[*node](data); err != nil || !reflect.DeepEqual(got, v) {
		t.Errorf("Decode: %v; want the 400 nodes that were encoded", err)
	}
}

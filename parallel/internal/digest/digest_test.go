package digest_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gofutures/futures/parallel/internal/digest"
	"pgregory.net/rapid"
)

// Types of the samples. Their names are in vectors.py too.
type (
	Number     int
	Point      struct{ X, Y int }
	OtherPoint struct{ X, Y int }
	Box[T any] struct{ V T }
	Node       struct {
		Name string
		Next *Node
		Kids []Node
		By   map[string]*Node
	}
	Event struct { // its marshaler is that of the time
		time.Time
		Name string
	}
	Stamp struct{ time.Time }
	Code  struct{ n int }
	// CBORCode has its marshaler at the pointer.
	CBORCode struct{ n byte }
)

func (c Code) MarshalBinary() ([]byte, error)      { return fmt.Appendf(nil, "code %d", c.n), nil }
func (c *CBORCode) MarshalCBOR() ([]byte, error)   { return []byte{c.n}, nil }
func (c *CBORCode) UnmarshalCBOR(data []byte) error { c.n = data[0]; return nil }

type sample struct {
	name  string
	value any
}

// samples are values no two of which are the same. They are made anew by each
// call.
func samples() []sample {
	var (
		newYear   = time.Date(2024, 1, 1, 0, 0, 0, 5, time.UTC)
		east      = newYear.In(time.FixedZone("east", 3600))
		huge      = new(big.Int).Lsh(big.NewInt(1), 100)
		minusHuge = new(big.Int).Neg(huge)
		nan       = math.Float64frombits(0x7FF8000000000001)
		otherNaN  = math.Float64frombits(0xFFF8000000000000)
		negZero   = math.Copysign(0, -1)
		long      = make([]byte, 10000)
		integers  []int
		of1000    = map[int][]string{}
	)
	for i := range long {
		long[i] = byte(i % 251)
	}
	for i := range 2000 {
		integers = append(integers, i-1000)
	}
	for i := -500; i < 500; i++ {
		of1000[i] = slices.Repeat([]string{"v"}, (i%7+7)%7)
	}
	return slices.Concat([]sample{
		{"false", false},
		{"true", true},
		{"int 0", 0},
		{"int 1", 1},
		{"int -1", -1},
		{"int8 1", int8(1)},
		{"int16 -2", int16(-2)},
		{"int32 1", rune(1)},
		{"int64 1", int64(1)},
		{"int64 min", int64(math.MinInt64)},
		{"uint 1", uint(1)},
		{"uint8 1", byte(1)},
		{"uint16 0x1234", uint16(0x1234)},
		{"uint32 1", uint32(1)},
		{"uint64 max", uint64(math.MaxUint64)},
		{"Number 1", Number(1)},
		{"Duration 1s", time.Second},
		{"float32 1.5", float32(1.5)},
		{"float64 1.5", 1.5},
		{"float64 0", 0.0},
		{"float64 -0", negZero},
		{"float64 inf", math.Inf(1)},
		{"float64 NaN", nan},
		{"float64 other NaN", otherNaN},
		{"float64 signalling NaN", math.Float64frombits(0x7FF0000000000001)},
		{"complex64 1-2i", complex64(1 - 2i)},
		{"complex128 1-2i", 1 - 2i},
		{"complex128 -2+1i", -2 + 1i},
		{"string empty", ""},
		{"string", "héllo"},
		{"string no UTF-8", "\xff\x00\xfe"},
		{"string long", string(long)},
		{"[]byte nil", []byte(nil)},
		{"[]byte empty", []byte{}},
		{"[]byte", []byte("héllo")},
		{"[]byte long", long},
		{"[]int nil", []int(nil)},
		{"[]int empty", []int{}},
		{"[]int", []int{1, -2, 3}},
		{"[]int long", integers},
		{"[]int32", []int32{1, -2, 3}},
		{"[]uint", []uint{1, 2, math.MaxUint32}},
		{"[]bool", []bool{true, false}},
		{"[]float64", []float64{1.5, negZero}},
		{"[]complex64", []complex64{1 - 2i}},
		{"[2]int", [2]int{1, 2}},
		{"[]int of 2", []int{1, 2}},
		{"[0]int", [0]int{}},
		{"[0]string", [0]string{}},
		{"[2][2]int16", [2][2]int16{{1, 2}, {3, 4}}},
		{"[2]string", [2]string{"a", "bc"}},
		{"[]string ab c", []string{"ab", "c"}},
		{"[]string a bc", []string{"a", "bc"}},
		{"[]string abc", []string{"abc"}},
		{"[]string abc and empty", []string{"abc", ""}},
		{"[][]string", [][]string{{"a"}, {}, nil, {"b", "c"}}},
		{"[]struct{}", make([]struct{}, 3)},
		{"struct{}", struct{}{}},
		{"map nil", map[string]int(nil)},
		{"map empty", map[string]int{}},
		{"map", map[string]int{"a": 1, "b": 2, "aa": 3, "": 4}},
		{"map other", map[string]int{"a": 2, "b": 1, "aa": 3, "": 4}},
		{"map of 1000", of1000},
		{"map of NaNs", map[float64]int{nan: 1, nan + 0: 2, otherNaN: 1, 0: 3}},
		{"map of other NaNs", map[float64]int{nan: 1, nan + 0: 1, otherNaN: 2, 0: 3}},
		{"map of points", map[Point]bool{{1, 2}: true, {2, 1}: false, {-1, 0}: true}},
		{"map of pointers", map[*int]string{new(7): "a", new(7): "b", nil: "c"}},
		{"map of maps", map[string]map[int]map[string]byte{
			"x": {1: {"a": 1, "b": 2}, 2: {}, 3: nil},
			"y": nil,
			"z": {-1: {"c": 3, "b": 2, "a": 1}},
		}},
		{"map in a slice", []map[string]string{{"k": "v", "l": "w"}, nil, {"k": strings.Repeat("v", 5000)}}},
		{"*int nil", (*int)(nil)},
		{"*int 0", new(int)},
		{"**int", new(new(1))},
		{"**int of nil", (**int)(nil)},
		{"**int to nil", new(*int)},
		{"struct X Y", struct{ X, Y int }{1, 2}},
		{"struct X Y swapped", struct{ X, Y int }{2, 1}},
		{"struct Y X", struct{ Y, X int }{1, 2}},
		{"struct A B", struct{ A, B int }{1, 2}},
		{"struct X Y blank", struct {
			X int
			_ byte
			Y int
		}{X: 1, Y: 2}},
		{"struct with gaps", struct {
			A byte
			B int64
			C bool
		}{1, 2, true}},
		{"Point", Point{1, 2}},
		{"OtherPoint", OtherPoint{1, 2}},
		{"[]Point", []Point{{1, 2}, {3, 4}}},
		{"struct of a Point", struct{ Point Point }{Point{1, 2}}},
		{"struct with a Point embedded", struct{ Point }{Point{1, 2}}},
		{"struct of two Points", struct {
			A Point
			B *Point
		}{Point{1, 2}, &Point{1, 2}}},
		{"Node", Node{
			Name: "a",
			Next: &Node{Name: "b", By: map[string]*Node{}},
			Kids: []Node{{Name: "c", Kids: []Node{}}},
			By:   map[string]*Node{"e": {Name: "f"}, "d": nil},
		}},
		{"Box[int]", Box[int]{1}},
		{"Box[string]", Box[string]{"1"}},
		{"struct with tags", struct {
			A int    `json:"a" hash:""`
			B func() `hash:"-"`
			b any    `hash:"-"`
			C string `cbor:"-"`
			_ func() `hash:"-"`
		}{A: 1, b: 7, C: "c"}},
		{"time zero", time.Time{}},
		{"time UTC", newYear},
		{"time east", east},
		{"time west", newYear.In(time.FixedZone("", -12345))},
		{"time before 1970", time.Unix(-2, 999_999_999).UTC()},
		{"*time nil", (*time.Time)(nil)},
		{"*time", &newYear},
		{"Event", Event{newYear, "party"}},
		{"Stamp", Stamp{newYear}},
		{"big 0", big.Int{}},
		{"big 1", *big.NewInt(1)},
		{"big -1", *big.NewInt(-1)},
		{"big 2^100", *huge},
		{"big -2^100", *minusHuge},
		{"*big nil", (*big.Int)(nil)},
		{"*big 0", new(big.Int)},
		{"*big -2^100", minusHuge},
		{"[]*big", []*big.Int{big.NewInt(255), nil, big.NewInt(-256)}},
		{"Code", Code{7}},
		{"*Code", &Code{7}},
		{"*Code nil", (*Code)(nil)},
		{"map of Codes", map[Code][]Code{{2}: {{1}, {0}}, {1}: nil}},
		{"CBORCode", CBORCode{7}},
	}, localTypes())
}

// localTypes has two types of one name.
func localTypes() []sample {
	type local struct{ A int }
	a := local{1}
	{
		type local struct{ A string }
		return []sample{
			{"local types", struct {
				A any `hash:"-"`
				B localPair
			}{}},
			{"local types otherwise", []any{a, local{"x"}}},
		}
	}
}

type localPair struct{}

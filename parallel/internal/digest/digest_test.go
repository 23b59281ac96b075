package digest_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"os"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

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

func (c Code) MarshalBinary() ([]byte, error)       { return fmt.Appendf(nil, "code %d", c.n), nil }
func (c *CBORCode) MarshalCBOR() ([]byte, error)    { return []byte{c.n}, nil }
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
		{"map of NaNs", map[float64]int{nan: 1, nan: 2, otherNaN: 1, 0: 3}},
		{"map of other NaNs", map[float64]int{nan: 1, nan: 1, otherNaN: 2, 0: 3}},
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
		{"time in another east", newYear.In(time.FixedZone("\xffast", 3600))},
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

// localTypes has types that share path and name.
func localTypes() []sample {
	type local struct{ A int }
	type first = local
	{
		type local struct{ A string }
		return []sample{
			{"local types", struct {
				A    first
				B, C local
			}{first{1}, local{"x"}, local{"y"}}},
			{"local types otherwise", struct {
				A first
				B local
				C first
			}{first{1}, local{"x"}, first{2}}},
		}
	}
}

func sum(t testing.TB, v any) digest.Digest {
	t.Helper()
	h, err := digest.For(reflect.TypeOf(v))
	if err != nil {
		t.Fatal(err)
	}
	d, err := h.Sum(reflect.ValueOf(v))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// The digests of vectors.json are frozen. vectors.py has computed them too.
func TestDigestsAreThoseOfEveryOtherReleaseAndMachine(t *testing.T) {
	data, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var want map[string]string
	if err := json.Unmarshal(data, &want); err != nil {
		t.Fatal(err)
	}
	for _, s := range samples() {
		if got := fmt.Sprintf("%x", sum(t, s.value)); got != want[s.name] {
			t.Errorf("%s: the digest of %T is %s; want %s, frozen", s.name, s.value, got, want[s.name])
		}
		delete(want, s.name)
	}
	for name := range want {
		t.Errorf("no sample is named %q, as one of the frozen digests is", name)
	}
}

// Where memory cannot be hashed as it is, digests are the same.
func TestDigestsDoNotDependOnTheOrderOfBytes(t *testing.T) {
	for _, s := range samples() {
		got, err := digest.ForBigEndian(reflect.TypeOf(s.value)).Sum(reflect.ValueOf(s.value))
		if want := sum(t, s.value); err != nil || got != want {
			t.Errorf("%s: the digest of %T is %x, %v; want %x", s.name, s.value, got, err, want)
		}
	}
}

func TestDigestsAreEqualIfAndOnlyIfTheValuesAre(t *testing.T) {
	once, again := samples(), samples()
	digests := make([]digest.Digest, len(once))
	for i, s := range once {
		digests[i] = sum(t, s.value)
	}
	for i, s := range again {
		d := sum(t, s.value)
		for j, other := range once {
			if isEqual := d == digests[j]; isEqual != (i == j) {
				t.Errorf("%s (%T) and %s (%T): their digests are equal: %t; want %t", s.name, s.value, other.name, other.value, isEqual, i == j)
			}
		}
	}
}

// What is the same to the comment of the package is the same.
func TestDigestsDoNotSeeWhatIsNoPartOfTheValue(t *testing.T) {
	now := time.Now()
	utc := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	grown := make(map[int]string, 5000)
	for i := range 5000 {
		grown[i] = "gone"
	}
	for i := range 5000 {
		delete(grown, i)
	}
	grown[2], grown[1] = "b", "a"
	shared := new(5)
	type blank struct{ X, _ int64 }
	clean, dirty := []blank{{X: 1}}, []blank{{X: 1}}
	*(*[2]int64)(unsafe.Pointer(&dirty[0])) = [2]int64{1, 77}
	type tagged struct {
		A     int
		Cache map[string]any `hash:"-"`
		done  chan int       `hash:"-"`
	}
	for _, row := range []struct {
		name string
		a, b any
	}{
		{"history of a map", grown, map[int]string{1: "a", 2: "b"}},
		{"monotonic clock", now, now.Round(0)},
		{"which UTC", utc, utc.In(time.FixedZone("UTC", 0))},
		{"which pointer", []*int{shared, shared}, []*int{new(5), new(5)}},
		{"capacity", make([]string, 1, 9), make([]string, 1)},
		{"capacity of numbers", make([]int, 1, 9), make([]int, 1)},
		{"blank field", clean, dirty},
		{"field that is left out", tagged{A: 1}, tagged{1, map[string]any{"x": 1}, make(chan int)}},
		{"spare capacity of a big.Int", *new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 900), new(big.Int).Lsh(big.NewInt(1), 900)), big.Int{}},
		{"tags of another kind", struct {
			A int `json:"a"`
		}{1}, struct{ A int }{1}},
	} {
		if a, b := sum(t, row.a), sum(t, row.b); a != b {
			t.Errorf("%s: the digests of %v and %v are %x and %x; want one", row.name, row.a, row.b, a, b)
		}
	}
}

func TestHasherIsSafeForManyGoroutines(t *testing.T) {
	all := samples()
	want := make([]digest.Digest, len(all))
	for i, s := range all {
		want[i] = sum(t, s.value)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i, s := range all {
				h, err := digest.For(reflect.TypeOf(s.value))
				if err != nil {
					t.Error(err)
					return
				}
				if got, err := h.Sum(reflect.ValueOf(s.value)); err != nil || got != want[i] {
					t.Errorf("%s: Sum = %x, %v beside other goroutines; want %x", s.name, got, err, want[i])
				}
			}
		})
	}
	wg.Wait()
}

// A marshaler with a pointer receiver sees its value wherever that is.
func TestPointerReceiversAreCalledWhereverTheValueIs(t *testing.T) {
	alone := CBORCode{7}
	h, err := digest.For(reflect.TypeFor[CBORCode]())
	if err != nil {
		t.Fatal(err)
	}
	a, err := h.Sum(reflect.ValueOf(&alone).Elem())
	if b := sum(t, alone); err != nil || a != b {
		t.Errorf("the digest of a variable is %x, %v, and of a copy %x", a, err, b)
	}
	for _, row := range []struct{ a, same, other any }{
		{[]CBORCode{{7}}, []CBORCode{{7}}, []CBORCode{{8}}},
		{[1]CBORCode{{7}}, [1]CBORCode{{7}}, [1]CBORCode{{8}}},
		{map[CBORCode]CBORCode{{1}: {7}}, map[CBORCode]CBORCode{{1}: {7}}, map[CBORCode]CBORCode{{1}: {8}}},
		{map[CBORCode]bool{{1}: true}, map[CBORCode]bool{{1}: true}, map[CBORCode]bool{{2}: true}},
		{struct{ C CBORCode }{CBORCode{7}}, struct{ C CBORCode }{CBORCode{7}}, struct{ C CBORCode }{CBORCode{8}}},
	} {
		if sum(t, row.a) != sum(t, row.same) || sum(t, row.a) == sum(t, row.other) {
			t.Errorf("%T: the digests of %v and %v are equal: %t; and of %v: %t", row.a, row.a, row.same, sum(t, row.a) == sum(t, row.same), row.other, sum(t, row.a) == sum(t, row.other))
		}
	}
}

// Of nothing there may be any number.
func TestLengthOfNothingTakesNoTime(t *testing.T) {
	type blank struct{ _ [0]int }
	done := make(chan struct{})
	go func() {
		defer close(done)
		a, b := sum(t, make([]struct{}, math.MaxInt)), sum(t, make([]struct{}, math.MaxInt-1))
		if a == b {
			t.Error("slices of nothing have one digest at different lengths")
		}
		sum(t, make([]blank, math.MaxInt))
		sum(t, make([][0]string, math.MaxInt))
		sum(t, make([][3]blank, math.MaxInt))
		sum(t, [math.MaxInt]struct{}{})
		sum(t, [math.MaxInt]blank{})
	}()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Fatal("the digests of long slices of nothing have not come after a minute")
	}
}

// Entries are held back until all are there, however large they are.
func TestEntriesOfLargeMapsAreSorted(t *testing.T) {
	large := bytes.Repeat([]byte("0123456789"), 1<<18)
	text := "futures digest 1\nmap[uint16]map[bool][]uint8\n"
	entry := slices.Concat([]byte{1}, binary.LittleEndian.AppendUint64(nil, uint64(len(large))), large)
	inner := slices.Concat([]byte{1, 2, 0, 0, 0, 0, 0, 0, 0}, []byte{0}, entry, []byte{1}, entry)
	want := sha256.Sum256(slices.Concat([]byte(text), []byte{1, 3, 0, 0, 0, 0, 0, 0, 0},
		[]byte{0, 1}, inner, []byte{1, 0, 0}, []byte{1, 1}, inner))
	byBool := map[bool][]byte{true: large, false: large}
	if got := sum(t, map[uint16]map[bool][]byte{257: byBool, 1: nil, 256: byBool}); got != want {
		t.Errorf("the digest of a map with 10 MiB is %x; want %x", got, want)
	}
}

func TestMapsHaveOneDigestInAnyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := rapid.MapOf(rapid.String(), rapid.MapOf(rapid.Int(), rapid.SliceOf(rapid.Byte()))).Draw(t, "map")
		keys := make([]string, 0, len(m))
		for k := range m {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		again := make(map[string]map[int][]byte)
		for _, k := range rapid.Permutation(keys).Draw(t, "order") {
			again[k] = make(map[int][]byte)
			for i, b := range m[k] {
				again[k][-i], again[k][i] = nil, slices.Clone(b)
				if _, ok := m[k][-i]; !ok {
					delete(again[k], -i)
				}
			}
			for i, b := range m[k] {
				again[k][i] = b
			}
		}
		if a, b := sumOf(m), sumOf(again); a != b {
			t.Errorf("the digests of %v in two orders are %x and %x", m, a, b)
		}
		again["another"+strings.Join(keys, "")] = nil
		if sumOf(m) == sumOf(again) {
			t.Errorf("%v and %v have one digest", m, again)
		}
	})
}

func TestDifferentSlicesOfStringsHaveDifferentDigests(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		strs := rapid.SliceOf(rapid.SampledFrom([]string{"", "a", "aa", "ab", "b", "\x00", "\x01\x00"}))
		a, b := strs.Draw(t, "a"), strs.Draw(t, "b")
		if isEqual := sumOf(a) == sumOf(b); isEqual != slices.Equal(a, b) {
			t.Errorf("%q and %q have one digest: %t", a, b, isEqual)
		}
	})
}

func sumOf(v any) digest.Digest {
	h, err := digest.For(reflect.TypeOf(v))
	if err != nil {
		panic(err)
	}
	d, err := h.Sum(reflect.ValueOf(v))
	if err != nil {
		panic(err)
	}
	return d
}

var isRace bool

func TestFewAllocations(t *testing.T) {
	for _, row := range []struct {
		name  string
		value any
		most  float64
	}{
		{"a small struct", small, 3},
		{"1000 strings", slices.Repeat([]string{"some text"}, 1000), 3},
		{"1000 structs", slices.Repeat([]job{small}, 1000), 3},
		{"1000 pointers", slices.Repeat([]*int{new(1)}, 1000), 3},
		{"1000 times", slices.Repeat([]time.Time{time.Now()}, 1000), 3},
		{"a map of 1000", samples()[slices.IndexFunc(samples(), func(s sample) bool { return s.name == "map of 1000" })].value, 8},
	} {
		h, err := digest.For(reflect.TypeOf(row.value))
		if err != nil {
			t.Fatal(err)
		}
		v := reflect.ValueOf(row.value)
		got := testing.AllocsPerRun(200, func() { h.Sum(v) })
		if got > row.most && !isRace { // with it, sync.Pool drops some
			t.Errorf("%s: %v allocations; want at most %v", row.name, got, row.most)
		}
	}
}

type job struct {
	Name, Queue string
	ID, Retries int
	Priority    int32
}

var small = job{"resize", "images", 1234567, 3, 1}

func BenchmarkSmallStruct(b *testing.B) {
	h, err := digest.For(reflect.TypeOf(small))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		h.Sum(reflect.ValueOf(small))
	}
}

func BenchmarkMapOf1000(b *testing.B) {
	m := make(map[string]int)
	for i := range 1000 {
		m[fmt.Sprint("key ", i)] = i
	}
	b.ReportAllocs()
	for b.Loop() {
		sum(b, m)
	}
}

// Of what is in memory as it is hashed, SHA-256 itself should take all the time.
func BenchmarkMiB(b *testing.B) {
	data := make([]byte, 1<<20)
	for i := range data {
		data[i] = byte(i * i)
	}
	b.Run("plain SHA-256", func(b *testing.B) {
		b.SetBytes(1 << 20)
		for b.Loop() {
			sha256.Sum256(data)
		}
	})
	for _, v := range []any{data, string(data), make([]float64, 1<<17), make([]int, 1<<17), make([]Point, 1<<16), slices.Repeat([]string{"0123456789abcdef"}, 1<<16)} {
		b.Run(reflect.TypeOf(v).String(), func(b *testing.B) {
			b.SetBytes(1 << 20)
			b.ReportAllocs()
			for b.Loop() {
				sum(b, v)
			}
		})
	}
}

func TestTextSaysWhatTheTypeIs(t *testing.T) {
	h, err := digest.For(reflect.TypeFor[map[string][]int]())
	if err != nil || h.Text() != "map[string][]int" {
		t.Errorf("For(map[string][]int).Text() = %q, %v", h.Text(), err)
	}
}

// What is written goes to the hash as it comes, but for the entries of maps. These
// are more than a writer keeps for the next value.
func TestLongValuesAreNotGatheredInMemory(t *testing.T) {
	var empty struct{}
	for _, v := range []any{
		slices.Repeat([]*struct{}{&empty}, 1<<21),
		slices.Repeat([]time.Time{time.Unix(1, 2).UTC()}, 1<<17),
		slices.Repeat([]string{"some text"}, 1<<17),
		slices.Repeat([]string{strings.Repeat("long", 1<<9)}, 1<<11),
		slices.Repeat([]string{strings.Repeat("long", 1<<10)}, 1<<10),
		struct {
			A map[string]int
			B []string
		}{map[string]int{"a": 1}, slices.Repeat([]string{"some text"}, 1<<17)},
		strings.Repeat("long", 1<<20),
	} {
		sum(t, v) // the type is known then, and a writer is there
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		sum(t, v)
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; took > 64<<10 {
			t.Errorf("the digest of a %T takes %d bytes; want at most 65536", v, took)
		}
	}
}

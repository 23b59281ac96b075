package codec_test

import (
	"bytes"
	"encoding"
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/gofutures/futures/executor/internal/codec"
)

// Types with one half of a marshaler, or two that do not match.
type (
	onlyMarshals       struct{ X int }
	onlyUnmarshals     struct{ X int }
	onlyMarshalsCBOR   struct{ X int }
	onlyUnmarshalsCBOR struct{ X int }
	mixed              struct{ X int } // MarshalCBOR, and both for bytes: CBOR would go out, bytes be expected
	halfFlag           bool
	halfNumber         int
	shadowed           struct { // has marshalers of its own
		time.Time
		X int
	}
	generic[T any] struct {
		secret
		X T
	}
)

func (onlyMarshals) MarshalBinary() ([]byte, error)    { return nil, nil }
func (*onlyUnmarshals) UnmarshalBinary([]byte) error   { return nil }
func (onlyMarshalsCBOR) MarshalCBOR() ([]byte, error)  { return nil, nil }
func (*onlyUnmarshalsCBOR) UnmarshalCBOR([]byte) error { return nil }
func (mixed) MarshalCBOR() ([]byte, error)             { return []byte{0}, nil }
func (mixed) MarshalBinary() ([]byte, error)           { return nil, nil }
func (*mixed) UnmarshalBinary([]byte) error            { return nil }
func (halfFlag) MarshalBinary() ([]byte, error)        { return nil, nil }
func (*halfNumber) UnmarshalBinary([]byte) error       { return nil }
func (s shadowed) MarshalBinary() ([]byte, error)      { return fmt.Appendf(nil, "%d", s.X), nil }
func (s *shadowed) UnmarshalBinary(b []byte) (err error) {
	_, err = fmt.Sscan(string(b), &s.X)
	return err
}
func (g generic[T]) MarshalBinary() ([]byte, error) { return fmt.Appendf(nil, "%v", g.X), nil }
func (g *generic[T]) UnmarshalBinary(b []byte) (err error) {
	_, err = fmt.Sscan(string(b), &g.X)
	return err
}

type zeroer struct{ X int }

func (z zeroer) IsZero() bool { return true }

type wrapped struct{ time.Time }

type hidden struct{ X int }

// What would lose something is refused, and the error
// says where it is.
func TestTypesThatWouldLoseSomethingAreRefusedWithThePath(t *testing.T) {
	type S struct {
		M map[string][]struct{ Done chan int }
	}
	type cyclic struct {
		Next *cyclic
		F    func()
	}
	const (
		nothing   = " cannot cross to another process: it means nothing there; leave it out, or give the type that has it MarshalBinary and UnmarshalBinary"
		anything  = " cannot cross to another process: an interface does not say what to decode; use a concrete type"
		noKey     = " cannot cross to another process: only bools, numbers and strings, and arrays and structs of these, are keys that are found again; use a slice of pairs"
		lost      = " cannot cross to another process: the field is unexported and would be lost; export it, or give "
		orWrap    = " MarshalBinary and UnmarshalBinary; a type that is not yours can be wrapped in one that is and has them"
		both      = "; give it both, or wrap it in a type that has both"
		inherited = ", which it embeds and which knows nothing of the rest; give the embedded field a name, or the type marshalers of its own"
	)
	for _, row := range []struct {
		err  error
		want string
	}{
		{refusalOf[chan int](), "a chan int" + nothing},
		{refusalOf[func()](), "a func()" + nothing},
		{refusalOf[unsafe.Pointer](), "a unsafe.Pointer" + nothing},
		{refusalOf[uintptr](), "a uintptr" + nothing},
		{refusalOf[[]uintptr](), "[]uintptr[]: a uintptr" + nothing},
		{refusalOf[any](), "a interface {}" + anything},
		{refusalOf[error](), "a error" + anything},
		{refusalOf[io.Reader](), "a io.Reader" + anything},
		{refusalOf[[]any](), "[]interface {}[]: a interface {}" + anything},
		{refusalOf[map[string]any](), "map[string]interface {}[]: a interface {}" + anything},
		{refusalOf[*any](), "*interface {}: a interface {}" + anything},
		{refusalOf[S](), "codec_test.S.M[][].Done: a chan int" + nothing},
		{refusalOf[*S](), "*codec_test.S.M[][].Done: a chan int" + nothing},
		{refusalOf[cyclic](), "codec_test.cyclic.F: a func()" + nothing},
		{refusalOf[[]*cyclic](), "[]*codec_test.cyclic[].F: a func()" + nothing},
		{refusalOf[[3]chan int](), "[3]chan int[]: a chan int" + nothing},
		{refusalOf[struct{ a int }](), "struct { a int }.a: a int" + lost + "struct { a int }" + orWrap},
		{refusalOf[struct {
			A int
			b int
		}](), ".b: a int" + lost},
		{refusalOf[struct {
			A struct{ B []struct{ c string } }
		}](), ".A.B[].c: a string" + lost + "struct { c string }" + orWrap},
		{refusalOf[struct{ hidden }](), ".hidden: a codec_test.hidden" + lost},
		{refusalOf[struct{ *hidden }](), ".hidden: a *codec_test.hidden" + lost},
		{refusalOf[map[any]string](), "[key]: a interface {}" + noKey},
		{refusalOf[map[*int]string](), "[key]: a *int" + noKey},
		{refusalOf[map[[2]*int]string](), "[key]: a [2]*int" + noKey},
		{refusalOf[map[struct {
			A int
			B any
		}]string](), " B interface {} }" + noKey},
		{refusalOf[map[struct{ a int }]string](), "[key].a: a int" + lost},
		{refusalOf[map[word]string](), "[key]: a codec_test.word" + noKey},
		{refusalOf[map[keyMarshals]string](), "[key]: a codec_test.keyMarshals" + noKey},
		{refusalOf[map[time.Time]string](), "[key]: a time.Time" + noKey},
		{refusalOf[map[struct{ T time.Time }]string](), "[key]: a struct { T time.Time }" + noKey},
		{refusalOf[map[uintptr]string](), "[key]: a uintptr" + noKey},
		{refusalOf[map[string]chan int](), "[]: a chan int" + nothing},
		{refusalOf[onlyMarshals](), "a codec_test.onlyMarshals cannot cross to another process: it has MarshalBinary and no UnmarshalBinary" + both},
		{refusalOf[[]onlyUnmarshals](), "[]: a codec_test.onlyUnmarshals cannot cross to another process: it has UnmarshalBinary and no MarshalBinary" + both},
		{refusalOf[*onlyMarshalsCBOR](), "it has MarshalCBOR and no UnmarshalCBOR" + both},
		{refusalOf[struct{ A onlyUnmarshalsCBOR }](), ".A: a codec_test.onlyUnmarshalsCBOR cannot cross to another process: it has UnmarshalCBOR and no MarshalCBOR" + both},
		{refusalOf[mixed](), "it has MarshalCBOR and no UnmarshalCBOR" + both},
		{refusalOf[halfFlag](), "it has MarshalBinary and no UnmarshalBinary" + both},
		{refusalOf[halfNumber](), "it has UnmarshalBinary and no MarshalBinary" + both},
		{refusalOf[[]halfNumber](), "[]: a codec_test.halfNumber"},
		{refusalOf[struct{ A [2]halfFlag }](), ".A[]: a codec_test.halfFlag"},
		{refusalOf[struct {
			time.Time
			X int
		}](), " cannot cross to another process: its MarshalBinary is that of time.Time" + inherited},
		{refusalOf[struct {
			X int
			*time.Time
		}](), "its MarshalBinary is that of *time.Time" + inherited},
		{refusalOf[struct {
			secret
			X int
		}](), "its MarshalBinary is that of codec_test.secret" + inherited},
		{refusalOf[struct{ *bag }](), "its MarshalBinary is that of *codec_test.bag" + inherited},
		{refusalOf[[]struct {
			A struct {
				wrapped
				X int
			}
		}](), "[].A: a struct { codec_test.wrapped; X int } cannot cross to another process: its MarshalBinary is that of codec_test.wrapped" + inherited},
		{refusalOf[struct {
			time.Time
			big.Int
		}](), "its MarshalBinary is that of time.Time" + inherited},
		{refusalOf[struct {
			encoding.BinaryMarshaler
			encoding.BinaryUnmarshaler
		}](), "its MarshalBinary is that of encoding.BinaryMarshaler" + inherited},
		{refusalOf[struct {
			encoding.BinaryMarshaler
			X int
		}](), "it has MarshalBinary and no UnmarshalBinary" + both},
		{refusalOf[inheritsOne](), "its MarshalBinary is that of codec_test.secret" + inherited},
		{refusalOf[struct{ *onlySecret }](), "its MarshalBinary is that of *codec_test.onlySecret" + inherited},
		{refusalOf[*big.Rat](), "*big.Rat.a: a big.Int" + lost + "big.Rat" + orWrap},
		{refusalOf[big.Float](), "big.Float.prec: a uint32" + lost + "big.Float" + orWrap},
		{refusalOf[sync.Mutex](), "sync.Mutex."},
		{refusalOf[http.Request](), "http.Request.Body: a io.ReadCloser" + anything},
		{refusalOf[reflect.Value](), "reflect.Value.typ_: "},
		{refusalOf[struct{ E error }](), ".E: a error" + anything},
	} {
		if row.err == nil || !strings.Contains(row.err.Error(), row.want) {
			t.Errorf("error %q;\nwant %q", row.err, row.want)
		}
	}
}

// keyMarshals would be a key without its marshalers, which may make one thing of two.
type keyMarshals struct{ X int }

func (k keyMarshals) MarshalBinary() ([]byte, error) { return []byte{byte(k.X)}, nil }
func (*keyMarshals) UnmarshalBinary([]byte) error    { return nil }

// inheritsOne has one of its two marshalers from what it embeds.
type inheritsOne struct {
	secret
	X int
}

func (i *inheritsOne) UnmarshalBinary([]byte) error { return nil }

type Wrapped2 struct{ time.Time }

func refusalOf[T any]() error {
	_, err := codec.For[T]()
	if _, again := codec.For[T](); (err == nil) != (again == nil) {
		return fmt.Errorf("For[%v] = %v, and then %v", reflect.TypeFor[T](), err, again)
	}
	return err
}

// What loses nothing is not refused.
func TestTypesThatLoseNothingAreTaken(t *testing.T) {
	at := time.Date(2024, 1, 2, 3, 4, 5, 6, time.UTC)
	sendAll(t, wrapped{at})
	sendAll(t, []wrapped{{at}})
	sendAll(t, struct {
		big.Int
		X []string
	}{*big.NewInt(7), []string{"x"}})
	sendAll(t, struct{ *Inner2 }{&Inner2{[]string{"z"}}})
	sendAll(t, struct{ *Inner2 }{})
	sendAll(t, struct {
		Embedded
		Q string
	}{Embedded{1}, "q"})
	sendAll(t, [][]complex64{{1i, 2}, nil, {}})
	sendAll(t, struct {
		A complex64
		B []complex128
		C [2]complex64
		D map[string]complex128
	}{1i, []complex128{2i}, [2]complex64{3, 4i}, map[string]complex128{"": 5i}})
	sendAll(t, map[[2]int]string{{1, 2}: "a"})
	sendAll(t, map[struct{ X int }]string{{1}: "a", {2}: "b"})
	sendAll(t, map[struct{}]string{{}: "a"})
	sendAll(t, map[struct{}]struct{}{{}: {}})
	sendAll(t, map[[0]int]struct{ _ int }{{}: {}})
	sendAll(t, map[float64]string{0.5: "a"})
	one := 1
	pointer, slice, none := &one, []int{}, []int(nil)
	sendAll(t, &pointer)
	sendAll(t, new((*int)(nil)))
	sendAll(t, (**int)(nil))
	sendAll(t, &slice)
	sendAll(t, &none)
	sendAll(t, &map[string]int{})
	sendAll(t, []**big.Int{nil, new((*big.Int)(nil)), new(big.NewInt(5))})
}

// A struct that embeds a marshaler and has its own is not one that inherits it.
func TestOwnMarshalersCountAlsoBesideEmbeddedOnes(t *testing.T) {
	sendAll(t, shadowed{X: 7})
	sendAll(t, []generic[int]{{X: 3}, {X: -1}})
	sendAll(t, struct{ S []shadowed }{[]shadowed{{X: 1}}})
}

// Types that look at each other: all paths through them would be 20! of them.
func TestManyTypesThatHoldEachOtherAreSurveyedAtOnce(t *testing.T) {
	done := make(chan error, 1)
	go func() {
		_, err := codec.For[d0]()
		done <- err
	}()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Fatal("For of 12 struct types that point to each other has not returned after a minute")
	}
	v := &d0{All: all{D1: &d1{All: all{D2: &d2{}, D11: &d11{}}}}, T: []string{"x"}}
	sendAll(t, v)
}

type all struct {
	D0  *d0
	D1  *d1
	D2  *d2
	D3  *d3
	D4  *d4
	D5  *d5
	D6  *d6
	D7  *d7
	D8  *d8
	D9  *d9
	D10 *d10
	D11 *d11
}
type (
	d0 struct {
		All all
		T   []string
	}
	d1  struct{ All all }
	d2  struct{ A, B all }
	d3  struct{ All []all }
	d4  struct{ All map[string]all }
	d5  struct{ All *all }
	d6  struct{ Al all }
	d7  struct{ Alll all }
	d8  struct{ B all }
	d9  struct{ C all }
	d10 struct{ D all }
	d11 struct{ E all }
)

// What is long and holds nothing needs no memory, whatever a type or a value says.
func TestLengthOfNothingTakesNoMemory(t *testing.T) {
	if c, err := codec.For[[math.MaxInt]struct{}](); err == nil {
		if b, err := c.Append(nil, [math.MaxInt]struct{}{}); err == nil && len(b) > 1000 {
			t.Errorf("an array of nothing has %d bytes", len(b))
		}
	}
	if _, err := codec.For[[1 << 24]bool](); err != nil {
		t.Error(err)
	}
	sendAll(t, struct {
		A []string
		B []struct{}
		C [math.MaxInt]struct{}
		D [][0]string
		E [3][]struct{ _ [0]int }
	}{nil, make([]struct{}, math.MaxInt), [math.MaxInt]struct{}{}, make([][0]string, 5), [3][]struct{ _ [0]int }{{}, nil, make([]struct{ _ [0]int }, 1<<20)}})
	sendAll(t, make([]struct{ _ int64 }, 1000))
	// What has a marshaler has bytes, even if it needs no memory.
	type nothings struct{ A []nothing }
	if _, err := codec.For[[math.MaxInt]nothing](); err != nil {
		t.Error(err)
	}
	sendAll(t, nothings{make([]nothing, 1000)})
}

// A value may lead through 2^28 pointers, slices, maps and types with marshalers.
func TestWhatLeadsTooFarIsRefused(t *testing.T) {
	type shared struct {
		P *int
		S [][]int
		M map[string]nothing
		N []nothing
	}
	one := 1
	v := shared{&one, [][]int{{1}, nil, {}}, map[string]nothing{"": {}}, make([]nothing, 3)} // 10 places
	f, err := codec.FormOf(reflect.TypeOf(v))
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		left int
		want string
	}{
		{0, "shared.P: "}, {1, "shared.S: "}, {2, "shared.S[0]: "}, {3, "shared.S[2]: "}, {4, "shared.M: "}, {5, "shared.M[]: "}, {6, "shared.N: "},
		{7, "shared.N[0]: "}, {8, "shared.N[1]: "}, {9, "shared.N[2]: "}, {10, ""},
	} {
		err := f.EncodeAfter(1<<28-row.left, reflect.ValueOf(&v))
		if isRefused := err != nil; isRefused != (row.want != "") || isRefused && !strings.HasSuffix(err.Error(), row.want+"the value leads through more than 268435456 pointers, slices and maps; does it share parts? Use indexes instead of pointers") {
			t.Errorf("where %d more are taken: %v; want an error with %q", row.left, err, row.want)
		}
	}
}

// nothing needs no memory, and has marshalers.
type nothing struct{}

func (nothing) MarshalBinary() ([]byte, error) { return nil, nil }
func (*nothing) UnmarshalBinary([]byte) error  { return nil }

// Types that encode alike say so, and others do not.
func TestDescribeTellsApartWhatEncodesDifferently(t *testing.T) {
	seen := map[string]string{}
	add := func(name, text string) {
		if text == "" {
			t.Errorf("%s: Describe is empty", name)
		}
		if other, ok := seen[text]; ok {
			t.Errorf("Describe is %q for both %s and %s", text, name, other)
		}
		seen[text] = name
	}
	add("int", describe[int](t))
	add("int32", describe[int32](t))
	add("uint32", describe[uint32](t))
	add("string", describe[string](t))
	add("[]byte", describe[[]byte](t))
	add("[]string", describe[[]string](t))
	add("[2]string", describe[[2]string](t))
	add("[3]string", describe[[3]string](t))
	add("map", describe[map[string][]string](t))
	add("a struct", describe[struct{ A, B []string }](t))
	add("other names", describe[struct{ A, C []string }](t))
	add("a nested struct", describe[struct{ A struct{ B []string } }](t))
	add("keys", describe[map[[2]int][]string](t))
	add("a time", describe[struct{ A time.Time }](t))
	add("one with marshalers", describe[struct{ A secret }](t))
	if a, b := describe[struct{ A []string }](t), describe[struct {
		A []string `cbor:"B"`
	}](t); a != b {
		t.Errorf("Describe is %q and %q for types that encode alike", a, b)
	}
}

// A description is a part of what parent and worker compare: it is the same in all
// processes, and has all that the encoding depends on.
func TestDescribeHasAllOfAType(t *testing.T) {
	type node struct {
		A bool
		B *big.Int
		C time.Time
		D []*node
		E [2]celsius
		F map[struct{ K label }]secret
		_ int
	}
	const want = "struct{A bool;B *big.Int;C time.Time;D []*type 0;E [2]float64;F map[struct{K string;}]codec_test.secret;}"
	if got := describe[node](t); got != want {
		t.Errorf("Describe = %q; want %q", got, want)
	}
	if got := describe[*list](t); got != "*struct{Value string;Next type 0;}" {
		t.Errorf("Describe of a pointer to a list = %q", got)
	}
}

// An error has the ends of a long path.
func TestLongPathsAreCutInTheMiddle(t *testing.T) {
	type chain struct {
		Next *chain
		End  touchy
	}
	for n := range 20 {
		v := chain{End: touchy{"fail"}}
		for range n {
			inner := v
			v = chain{Next: &inner, End: touchy{"good"}}
		}
		path := strings.Repeat(".Next", n) + ".End"
		if n >= 16 {
			path = strings.Repeat(".Next", 8) + "…" + strings.Repeat(".Next", 7) + ".End"
		}
		if err, want := encodeError(t, v), "cannot encode codec_test.chain"+path+": its MarshalBinary failed: no such thing"; err == nil || err.Error() != want {
			t.Errorf("%d steps: %v; want %q", n+1, err, want)
		}
	}
}

func describe[T any](t *testing.T) string { return codecOf[T](t).Describe() }

func TestCyclesAndDepthAreErrors(t *testing.T) {
	self := &list{}
	self.Next = self
	ring := &list{Next: &list{Next: &list{}}}
	ring.Next.Next.Next = ring
	inSlice := tree{Kids: make([]*tree, 1)}
	inSlice.Kids[0] = &inSlice
	inMap := tree{By: map[string]tree{}}
	inMap.By["x"] = inMap
	wide := &twin{}
	wide.L, wide.R = wide, wide
	inItself := nest{nil}
	inItself[0] = inItself
	maps := nestMap{}
	maps["x"] = maps
	var long *list
	for range 1_000_000 {
		long = &list{Next: long}
	}
	var deepSlices nest
	for range 1_000_000 {
		deepSlices = nest{deepSlices}
	}
	const (
		isCycle = ": the value has a cycle, so it has no end; use indexes instead of pointers"
		isDeep  = ": the value is nested more than 1000 levels deep; use a slice instead of what leads from one to the next"
	)
	next, first := ".Next.Next.Next.Next.Next.Next.Next.Next", "[0][0][0][0][0][0][0][0]"
	for _, row := range []struct {
		name string
		err  error
		want string
	}{
		{"itself", encodeError(t, self), "*codec_test.list.Next" + isCycle},
		{"itself, by value", encodeError(t, *self), "codec_test.list.Next.Next" + isCycle},
		{"a ring", encodeError(t, ring), "*codec_test.list.Next.Next.Next" + isCycle},
		{"in a slice", encodeError(t, &inSlice), "*codec_test.tree.Kids[0]" + isCycle},
		{"in a map", encodeError(t, inMap), "codec_test.tree.By[].By" + isCycle},
		{"twice itself", encodeError(t, wide), "*codec_test.twin.L" + isCycle},
		{"a slice in itself", encodeError(t, inItself), "codec_test.nest[0]" + isCycle},
		{"a map in itself", encodeError(t, maps), "codec_test.nestMap[]" + isCycle},
		{"behind other things", encodeError(t, []map[string]*list{{"a": {}, "b": self}}), "[]map[string]*codec_test.list[0][].Next" + isCycle},
		{"1,000,000 in a list", encodeError(t, long), "*codec_test.list" + next + "…" + next + isDeep},
		{"1,000,000 slices", encodeError(t, deepSlices), "codec_test.nest" + first + "…" + first + isDeep},
		{"numbers that are too deep", encodeError(t, numbersBehind(1000)), "…" + strings.Repeat("[0].Kids", 3) + "[0].Numbers" + isDeep},
		{"a list of 1001", encodeError(t, listOf(1001)), "…" + next + isDeep},
	} {
		if row.err == nil || !strings.HasPrefix(row.err.Error(), "cannot encode ") || !strings.HasSuffix(row.err.Error(), row.want) {
			t.Errorf("%s: %v;\nwant ... %s", row.name, row.err, row.want)
		}
	}
}

// What is as deep as may be comes back, and what is deeper is not decoded either.
func TestValuesOf1000LevelsCross(t *testing.T) {
	sendAll(t, listOf(1000))
	sendAll(t, numbersBehind(999))
	var kids *kid // one pointer and one slice each
	for range 500 {
		kids = &kid{[]*kid{kids}}
	}
	sendAll(t, kids)
	if err := encodeError(t, []*kid{kids}); err == nil {
		t.Error("500 nodes with a slice each, in a slice, are encoded; want an error, it is the 1001st level")
	}
	for name, decode := range map[string]func([]byte) error{
		"pointers": func(b []byte) error { _, err := codecOf[*loop](t).Decode(b); return err },
		"slices":   func(b []byte) error { _, err := codecOf[nest](t).Decode(b); return err },
		"maps":     func(b []byte) error { _, err := codecOf[loopMap](t).Decode(b); return err },
	} {
		one := map[string][]byte{"pointers": {1}, "slices": {2}, "maps": {2, 1}}[name]
		if err := decode(append(bytes.Repeat(one, 1000), 0)); err != nil {
			t.Errorf("%s of 1000 levels: %v", name, err)
		}
		for _, n := range []int{1001, 1_000_000} {
			if err := decode(append(bytes.Repeat(one, n), 0)); err == nil || !strings.Contains(err.Error(), "1000 levels deep") {
				t.Errorf("%s of %d levels: %v; want an error", name, n, err)
			}
		}
	}
}

// What stands beside each other is not inside of each other.
func TestManyThingsBesideEachOtherAreNotDeep(t *testing.T) {
	one := 1
	sendAll(t, slices.Repeat([][]int{{1}}, 1100))
	sendAll(t, slices.Repeat([][]string{{"a"}}, 1100))
	sendAll(t, slices.Repeat([]*int{&one}, 1100))
	sendAll(t, slices.Repeat([]map[string]int{{"a": 1}}, 1100))
}

func listOf(n int) (l *list) {
	for range n {
		l = &list{Next: l}
	}
	return l
}

func numbersBehind(n int) numberTree {
	v := numberTree{Numbers: []int{1}}
	for range n {
		v = numberTree{Kids: []numberTree{v}}
	}
	return v
}

type (
	kid        struct{ Kids []*kid }
	loop       struct{ Next *loop }
	loopMap    map[bool]loopMap
	numberTree struct {
		Kids    []numberTree
		Numbers []int
	}
)

type (
	twin    struct{ L, R *twin }
	nest    []nest
	nestMap map[string]nestMap
)

func encodeError[T any](t *testing.T, v T) error {
	t.Helper()
	data, err := codecOf[T](t).Append([]byte("x"), v)
	if string(data) != "x" {
		t.Errorf("%T: Append has written %d bytes", v, len(data)-1)
	}
	return err
}

// What only looks like a cycle crosses.
func TestValuesWithoutACycleCross(t *testing.T) {
	var chain *list
	for i := range 400 {
		chain = &list{Value: fmt.Sprint(i), Next: chain}
	}
	sendAll(t, chain)
	shared := &list{Value: "shared"}
	sendAll(t, []*list{shared, shared, {Next: shared}})

	// A struct has the address of its first field.
	var p *prefixed
	for range 150 {
		p = &prefixed{Next: p}
	}
	last := p
	for last.Next != nil {
		last = last.Next
	}
	last.Same = &last.First
	sendAll(t, p)

	// A slice has the address of a shorter one.
	rows := make([]tail, 2)
	rows[1].Rest = rows[:1]
	s := rows
	for range 150 {
		s = []tail{{Rest: s}}
	}
	sendAll(t, s)

	// What a marshaler does with its pointers is its business.
	b := bag{text: "x"}
	b.Self = &b
	data, err := codecOf[bagTree](t).Append(nil, bagTree{Bag: b, Kids: []*bagTree{{Bag: b}}})
	if err != nil {
		t.Fatalf("a tree of values whose type has marshalers, and a cycle behind them: %v", err)
	}
	if got, err := codecOf[bagTree](t).Decode(data); err != nil || got.Bag.text != "x" || got.Kids[0].Bag.text != "x" {
		t.Errorf("it has come back as %+v, %v", got, err)
	}
}

type (
	prefixed struct {
		First inner
		Same  *inner
		Next  *prefixed
	}
	tail    struct{ Rest []tail }
	bagTree struct {
		Bag  bag
		Kids []*bagTree
	}
)

func TestFailingMarshalersAreContained(t *testing.T) {
	c := codecOf[[]touchy](t)
	for _, row := range []struct {
		name, mode string
		want       string
	}{
		{"marshaler that fails", "fail", "cannot encode []codec_test.touchy[1]: its MarshalBinary failed: no such thing"},
		{"marshaler that panics", "panic", "cannot encode []codec_test.touchy[1]: its MarshalBinary panicked: marshal boom"},
		{"marshaler that panics with an error", "runtime", "its MarshalBinary panicked: runtime error"},
		{"marshaler that panics with nil", "nil", "its MarshalBinary panicked"},
	} {
		b, err := c.Append([]byte("b"), []touchy{{"good"}, {row.mode}})
		if err == nil || !strings.Contains(err.Error(), row.want) || string(b) != "b" {
			t.Errorf("%s: Append = %q, %v; want %q and an error with %q", row.name, b, err, "b", row.want)
		}
	}
	if _, err := c.Append(nil, []touchy{{"fail"}}); !errors.Is(err, errTouchy) {
		t.Errorf("the error of a marshaler is lost in %v", err)
	}
	if _, err := codecOf[map[string]*touchy](t).Append(nil, map[string]*touchy{"s3cret": {"fail"}}); err == nil || err.Error() != "cannot encode map[string]*codec_test.touchy[]: its MarshalBinary failed: no such thing" {
		t.Errorf("in a map: %v; want an error without the key, which may be nobody's business", err)
	}
	liars := liar{[]byte{0x9f}} // what a marshaler returns is its business
	sendAll(t, struct{ L *liar }{&liars})

	for _, row := range []struct{ mode, want string }{
		{"unmarshal fail", "cannot decode []codec_test.touchy[1]: its UnmarshalBinary failed: no such thing"},
		{"unmarshal panic", "cannot decode []codec_test.touchy[1]: its UnmarshalBinary panicked: unmarshal boom"},
		{"unmarshal nil", "its UnmarshalBinary panicked"},
	} {
		data, err := c.Append(nil, []touchy{{"good"}, {row.mode}})
		if err != nil {
			t.Fatal(err)
		}
		got, err := c.Decode(data)
		if err == nil || !strings.Contains(err.Error(), row.want) || got != nil {
			t.Errorf("%s: Decode = %v, %v; want nothing, and an error with %q", row.mode, got, err, row.want)
		}
	}
	// And it works after all that.
	if data, err := c.Append(nil, []touchy{{"good"}}); err != nil {
		t.Error(err)
	} else if got, err := c.Decode(data); err != nil || len(got) != 1 || got[0].mode != "good" {
		t.Errorf("Decode = %v, %v; want a good one", got, err)
	}
}

var errTouchy = errors.New("no such thing")

// touchy fails as it says.
type touchy struct{ mode string }

func (x touchy) MarshalBinary() ([]byte, error) {
	switch x.mode {
	case "fail":
		return nil, errTouchy
	case "panic":
		panic("marshal boom")
	case "nil":
		panic(nil)
	case "runtime":
		var none []int
		_ = none[len(x.mode)]
	}
	return []byte(x.mode), nil
}

func (x *touchy) UnmarshalBinary(b []byte) error {
	switch x.mode = string(b); x.mode {
	case "unmarshal fail":
		return errTouchy
	case "unmarshal panic":
		panic("unmarshal boom")
	case "unmarshal nil":
		panic(nil)
	}
	return nil
}

// liar has whatever CBOR it is given.
type liar struct{ data []byte }

func (l liar) MarshalCBOR() ([]byte, error)     { return l.data, nil }
func (l *liar) UnmarshalCBOR(data []byte) error { l.data = data; return nil }

package codec_test

import (
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/fxamacker/cbor/v2"
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

// WIRE-07, WIRE-11, D14: what would lose something is refused, and the error
// says where it is.
func TestTypesThatWouldLoseSomethingAreRefusedWithThePath(t *testing.T) {
	type S struct {
		M map[string][]struct{ Done chan int }
	}
	type cyclic struct {
		Next *cyclic
		F    func()
	}
	for _, row := range []struct {
		err   error
		wants []string
	}{
		{refusalOf[chan int](), []string{"chan int: ", "means nothing in another process"}},
		{refusalOf[func()](), []string{"func(): "}},
		{refusalOf[unsafe.Pointer](), []string{"unsafe.Pointer: "}},
		{refusalOf[uintptr](), []string{"uintptr: "}},
		{refusalOf[[]uintptr](), []string{"[]uintptr[]: "}},
		{refusalOf[any](), []string{"interface {}: ", "concrete type"}},
		{refusalOf[error](), []string{"error: ", "concrete type"}},
		{refusalOf[io.Reader](), []string{"io.Reader: "}},
		{refusalOf[[]any](), []string{"[]interface {}[]: "}},
		{refusalOf[map[string]any](), []string{"map[string]interface {}[]: "}},
		{refusalOf[*any](), []string{"interface {}"}},
		{refusalOf[S](), []string{"codec_test.S.M[][].Done: ", "chan int"}},
		{refusalOf[*S](), []string{"S.M[][].Done: "}},
		{refusalOf[cyclic](), []string{"codec_test.cyclic.F: "}},
		{refusalOf[[]*cyclic](), []string{"cyclic[].F: "}},
		{refusalOf[[3]chan int](), []string{"[3]chan int[]: "}},
		{refusalOf[struct{ a int }](), []string{".a: ", "unexported"}},
		{refusalOf[struct {
			A int
			b int
		}](), []string{".b: ", "unexported"}},
		{refusalOf[struct {
			A struct{ B []struct{ c string } }
		}](), []string{".A.B[].c: ", "unexported"}},
		{refusalOf[struct{ hidden }](), []string{".hidden: ", "unexported"}},
		{refusalOf[struct{ *hidden }](), []string{".hidden: ", "unexported"}},
		{refusalOf[struct{ *Inner2 }](), []string{".Inner2: ", "embedded", "nil would be lost"}},
		{refusalOf[struct {
			*Inner2 `json:",omitempty"`
		}](), []string{".Inner2: ", "embedded"}},
		{refusalOf[struct {
			A int `json:"-"`
		}](), []string{".A: ", "tag"}},
		{refusalOf[struct {
			A int `cbor:"-"`
		}](), []string{".A: ", "tag"}},
		{refusalOf[struct {
			A int `cbor:"" json:"-"`
		}](), []string{".A: ", "tag"}},
		{refusalOf[struct {
			A int `cbor:"x"`
			B int `json:"x"`
		}](), []string{".B: ", `"x"`, ".A"}},
		{refusalOf[struct {
			A int
			B int `cbor:"A"`
		}](), []string{".B: ", `"A"`, ".A"}},
		{refusalOf[struct {
			Embedded
			Q string
		}](), []string{".Q: ", ".Embedded.Q"}},
		{refusalOf[struct {
			A struct{ Embedded }
			B struct {
				Embedded
				Other struct{ Embedded } `cbor:"Q"`
			}
		}](), []string{".B.Other: ", ".B.Embedded.Q"}},
		{refusalOf[struct {
			A []string `cbor:"1,keyasint"`
			B []string `cbor:"01,keyasint"`
		}](), []string{".B: ", ".A"}},
		{refusalOf[struct {
			A []string `cbor:"one,keyasint"`
		}](), []string{".A: ", "one"}},
		{refusalOf[struct {
			A []string `cbor:",keyasint"`
		}](), []string{".A: "}},
		{refusalOf[struct {
			_ struct{} `cbor:",toindefarray"`
			A []string
		}](), []string{"toindefarray"}},
		{refusalOf[struct {
			_ struct{} `cbor:",toarray,toindefarray"`
			A []string
		}](), []string{"toindefarray"}},
		{refusalOf[struct {
			A []string
			Z zeroer `cbor:",omitzero"`
		}](), []string{".Z: ", "IsZero"}},
		{refusalOf[struct {
			A []string
			Z *zeroer `json:",omitzero"`
		}](), []string{".Z: ", "IsZero"}},
		{refusalOf[map[float64]string](), []string{"[key]: ", "float64"}},
		{refusalOf[map[any]string](), []string{"[key]: "}},
		{refusalOf[map[[2]int]string](), []string{"[key]: ", "[2]int"}},
		{refusalOf[map[struct{ X int }]string](), []string{"[key]: "}},
		{refusalOf[map[*int]string](), []string{"[key]: "}},
		{refusalOf[map[word]string](), []string{"[key]: ", "word"}},
		{refusalOf[map[time.Time]string](), []string{"[key]: ", "time.Time"}},
		{refusalOf[map[complex128]string](), []string{"[key]: "}},
		{refusalOf[map[uintptr]string](), []string{"[key]: "}},
		{refusalOf[map[string]chan int](), []string{"[]: ", "chan int"}},
		{refusalOf[onlyMarshals](), []string{"onlyMarshals: ", "and not the other"}},
		{refusalOf[[]onlyUnmarshals](), []string{"[]: ", "and not the other"}},
		{refusalOf[*onlyMarshalsCBOR](), []string{"and not the other"}},
		{refusalOf[struct{ A onlyUnmarshalsCBOR }](), []string{".A: ", "and not the other"}},
		{refusalOf[mixed](), []string{"mixed: ", "and not the other"}},
		{refusalOf[halfFlag](), []string{"halfFlag: ", "and not the other"}},
		{refusalOf[halfNumber](), []string{"halfNumber: ", "and not the other"}},
		{refusalOf[[]halfNumber](), []string{"[]: ", "and not the other"}},
		{refusalOf[struct{ A [2]halfFlag }](), []string{".A[]: ", "and not the other"}},
		{refusalOf[**int](), []string{"**int: ", "pointer to what may be nil"}},
		{refusalOf[*[]int](), []string{"*[]int: ", "pointer to what may be nil"}},
		{refusalOf[*map[string]int](), []string{"pointer to what may be nil"}},
		{refusalOf[struct{ A []**big.Int }](), []string{".A[]: ", "pointer to what may be nil"}},
		{refusalOf[struct {
			time.Time
			X int
		}](), []string{": ", "Time", "embed"}}, // its MarshalBinary is that of the time
		{refusalOf[struct {
			time.Time `cbor:"t"`
			X         int
		}](), []string{"Time", "embed"}},
		{refusalOf[struct {
			X int
			*time.Time
		}](), []string{"Time", "embed"}},
		{refusalOf[struct {
			secret
			X int
		}](), []string{"secret", "embed"}},
		{refusalOf[struct{ *bag }](), []string{"bag", "embed"}},
		{refusalOf[[]struct {
			A struct {
				wrapped
				X int
			}
		}](), []string{"[].A: ", "wrapped", "embed"}},
		{refusalOf[struct {
			big.Int
			X int
		}](), []string{".Int: ", "embed"}},
		{refusalOf[struct {
			time.Time
			big.Int
		}](), []string{"Time", "embed"}},
		{refusalOf[struct {
			Secret2
			Wrapped2
			X int
		}](), []string{"embed"}}, // two of them: it has none
		{refusalOf[[]complex64](), nil},
		{refusalOf[[][]complex64](), []string{"[][]complex64[][]: ", "complex"}},
		{refusalOf[struct {
			A []string
			B complex128
		}](), []string{".B: ", "complex"}},
		{refusalOf[big.Float](), []string{"big.Float.prec: "}},
		{refusalOf[sync.Mutex](), []string{"sync.Mutex."}},
		{refusalOf[http.Request](), []string{"http.Request.", "Body"}},
		{refusalOf[reflect.Value](), []string{"reflect.Value."}},
		{refusalOf[struct{ E error }](), []string{".E: ", "error"}},
	} {
		if row.wants == nil {
			if row.err != nil {
				t.Errorf("refused: %v", row.err)
			}
			continue
		}
		if row.err == nil {
			t.Errorf("no error; want one with %q", row.wants)
			continue
		}
		for _, want := range row.wants {
			if !strings.Contains(row.err.Error(), want) {
				t.Errorf("error %q; want it to have %q", row.err, want)
			}
		}
	}
}

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
		big.Int `cbor:"i"`
		X       []string
	}{*big.NewInt(7), []string{"x"}})
}

// A struct that embeds a marshaler and has its own is not one that inherits it.
func TestOwnMarshalersCountAlsoBesideEmbeddedOnes(t *testing.T) {
	sendAll(t, shadowed{X: 7})
	sendAll(t, []generic[int]{{X: 3}, {X: -1}})
	sendAll(t, struct{ S []shadowed }{[]shadowed{{X: 1}}})
}

// A complex number in a struct that needs no CBOR crosses.
func TestComplexNumbersCrossWhereTheyCan(t *testing.T) {
	sendAll(t, 1+2i)
	sendAll(t, []complex64{1i, 2})
	sendAll(t, struct {
		A complex64
		B []complex128
		C [2]complex64
	}{1i, []complex128{2i}, [2]complex64{3, 4i}})
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
	case <-time.After(20 * time.Second):
		t.Fatal("For of 12 struct types that point to each other has not returned after 20s")
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
	if c, err := codec.For[[1 << 30]struct{}](); err == nil {
		if b, err := c.Append(nil, [1 << 30]struct{}{}); err == nil && len(b) > 1000 {
			t.Errorf("an array of nothing has %d bytes", len(b))
		}
	}
	if _, err := codec.For[[1 << 24]bool](); err != nil {
		t.Error(err)
	}
	sendAll(t, struct {
		A []string
		B []struct{}
	}{nil, make([]struct{}, 1000)})
	if c, err := codec.For[[]struct{}](); err == nil {
		if b, err := c.Append(nil, make([]struct{}, 1<<30)); err == nil {
			t.Errorf("a slice of 2^30 of nothing has %d bytes; want an error", len(b))
		}
	}
}

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
	add("as an array", describe[struct {
		_    struct{} `cbor:",toarray"`
		A, B []string
	}](t))
	add("keys", describe[struct {
		A []string `cbor:"1,keyasint"`
	}](t))
	add("names like keys", describe[struct {
		A []string `cbor:"1"`
	}](t))
	if a, b := describe[struct{ A []string }](t), describe[struct {
		X []string `cbor:"A"`
	}](t); a != b {
		t.Errorf("Describe is %q and %q for types that encode alike", a, b)
	}
}

func describe[T any](t *testing.T) string { return codecOf[T](t).Describe() }

// D14, WIRE-12
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
	slices := nest{nil}
	slices[0] = slices
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
	for _, row := range []struct {
		name string
		err  error
		want string
	}{
		{"itself", encodeError(t, self), "cycle"},
		{"a ring", encodeError(t, ring), "cycle"},
		{"in a slice", encodeError(t, &inSlice), "cycle"},
		{"in a map", encodeError(t, inMap), "cycle"},
		{"twice itself", encodeError(t, wide), "cycle"},
		{"a slice in itself", encodeError(t, slices), "cycle"},
		{"a map in itself", encodeError(t, maps), "cycle"},
		{"behind other things", encodeError(t, []map[string]*list{{"a": {}, "b": self}}), "cycle"},
		{"1,000,000 in a list", encodeError(t, long), "deep"},
		{"1,000,000 slices", encodeError(t, deepSlices), "deep"},
	} {
		if row.err == nil || !strings.Contains(row.err.Error(), row.want) {
			t.Errorf("%s: %v; want an error about it (%q)", row.name, row.err, row.want)
		}
	}
}

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

// WIRE-15
func TestFailingMarshalersAreContained(t *testing.T) {
	c := codecOf[[]touchy](t)
	for _, row := range []struct {
		name, mode string
		want       string
	}{
		{"marshaler that fails", "fail", "no such thing"},
		{"marshaler that panics", "panic", "panicked: marshal boom"},
		{"marshaler that panics with an error", "runtime", "panicked: runtime error"},
		{"marshaler that panics with nil", "nil", "panicked"},
		{"marshaler of bad CBOR", "cbor", "cannot encode"},
	} {
		var err error
		var b []byte
		if row.mode == "cbor" {
			b, err = codecOf[liar](t).Append([]byte("b"), liar{[]byte{0x9f}})
		} else {
			b, err = c.Append([]byte("b"), []touchy{{"good"}, {row.mode}})
		}
		if err == nil || !strings.Contains(err.Error(), row.want) || string(b) != "b" {
			t.Errorf("%s: Append = %q, %v; want %q and an error with %q", row.name, b, err, "b", row.want)
		}
	}
	if _, err := c.Append(nil, []touchy{{"fail"}}); !errors.Is(err, errTouchy) {
		t.Errorf("the error of a marshaler is lost in %v", err)
	}
	if b, err := codecOf[liar](t).Append(nil, liar{[]byte{0x9f, 0xff}}); err == nil {
		t.Errorf("CBOR that cannot be decoded (of indefinite length) is encoded as %x", b)
	}

	for _, row := range []struct{ mode, want string }{
		{"unmarshal fail", "no such thing"},
		{"unmarshal panic", "panicked: unmarshal boom"},
		{"unmarshal nil", "panicked"},
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

var _ cbor.Unmarshaler = (*liar)(nil)

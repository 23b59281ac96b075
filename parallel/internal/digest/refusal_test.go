package digest_test

import (
	"encoding"
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/gofutures/futures/executor"
	"github.com/gofutures/futures/parallel/internal/digest"
)

var _ = pointerHeir{x: 0} // its field is there to be refused

type (
	secret struct{ n int }
	Secret struct{ n int }
	heir   struct {
		Secret
		X int
	}
	pointerHeir struct {
		*Secret
		x int
	}
	both struct { // declares the method once more
		Secret
		x int
	}
	other struct { // has another method than what it embeds
		Secret
		x int
	}
	list struct {
		Next *list
		F    func()
	}
	alias      time.Time
	celsius    float64
	named      func()
	opaque     chan int
	opaqueAddr uintptr
)

func (secret) MarshalBinary() ([]byte, error)        { return nil, nil }
func (s Secret) MarshalBinary() ([]byte, error)      { return fmt.Append(nil, s.n), nil }
func (b both) MarshalBinary() ([]byte, error)        { return fmt.Append(nil, b.n, b.x), nil }
func (o *other) MarshalCBOR() ([]byte, error)        { return []byte{byte(o.n), byte(o.x)}, nil }
func (c opaque) MarshalBinary() ([]byte, error)      { return fmt.Append(nil, c == nil), nil }
func (a *opaqueAddr) MarshalBinary() ([]byte, error) { return fmt.Append(nil, *a), nil }

func refusalOf[T any]() error {
	_, err := digest.For(reflect.TypeFor[T]())
	if _, again := digest.For(reflect.TypeFor[T]()); again != err {
		return fmt.Errorf("For[%v] = %v, and then %v", reflect.TypeFor[T](), err, again)
	}
	return err
}

func TestTypesWithoutADigestAreRefusedWithPathReasonAndRemedy(t *testing.T) {
	const (
		elsewhere  = `it is another one in every process; leave it out with the tag hash:"-", or give the type that has it MarshalBinary`
		unknown    = `what an interface will hold is not known from its type; use a concrete type, or leave it out with the tag hash:"-"`
		handle     = `it says where memory is, and not what is in it; give its Slice instead, or leave it out with the tag hash:"-"`
		unexported = `it is unexported, so only its package knows what it means; export it, leave it out with the tag hash:"-", or give `
	)
	type S struct {
		M map[string][]struct{ Done chan int }
	}
	for _, row := range []struct {
		err  error
		want string
	}{
		{refusalOf[chan int](), "a chan int has no digest: " + elsewhere},
		{refusalOf[func()](), "a func() has no digest: " + elsewhere},
		{refusalOf[named](), "a digest_test.named has no digest: " + elsewhere},
		{refusalOf[uintptr](), "a uintptr has no digest: " + elsewhere},
		{refusalOf[unsafe.Pointer](), "a unsafe.Pointer has no digest: " + elsewhere},
		{refusalOf[any](), "a interface {} has no digest: " + unknown},
		{refusalOf[error](), "a error has no digest: " + unknown},
		{refusalOf[encoding.BinaryMarshaler](), "a encoding.BinaryMarshaler has no digest: " + unknown},
		{refusalOf[S](), "digest_test.S.M[][].Done: a chan int has no digest: " + elsewhere},
		{refusalOf[list](), "digest_test.list.F: a func() has no digest: " + elsewhere},
		{refusalOf[executor.Shared[int]](), "a executor.Shared[int] has no digest: " + handle},
		{refusalOf[struct{ Weights *executor.Shared[celsius] }](), ".Weights: a executor.Shared["},
		{refusalOf[map[any]int](), "map[interface {}]int[key]: a interface {} has no digest: " + unknown},
		{refusalOf[*[3][]any](), "*[3][]interface {}[][]: a interface {} has no digest: " + unknown},
		{refusalOf[struct{ E struct{ error } }](), "struct { E struct { error } }.E.error: the field has no digest: " + unexported + "struct { error } MarshalBinary"},
		{refusalOf[struct{ _ func() }](), "struct { _ func() }._: a func() has no digest: " + elsewhere},
		{refusalOf[[]sync.Mutex](), "[]sync.Mutex[].mu: "},
		{refusalOf[reflect.Value](), "reflect.Value.typ_: the field has no digest: " + unexported + "reflect.Value MarshalBinary"},
		{refusalOf[big.Float](), "big.Float.prec: the field has no digest: " + unexported + "big.Float MarshalBinary"},
		{refusalOf[alias](), "digest_test.alias.wall: the field has no digest: " + unexported},
		{refusalOf[struct{ list }](), ".list: the field has no digest: " + unexported},
		{refusalOf[pointerHeir](), "digest_test.pointerHeir.x: the field has no digest: it is unexported, and the MarshalBinary of digest_test.pointerHeir may be that of *digest_test.Secret, " +
			`which it embeds and which knows nothing of the rest; export the field, leave it out with the tag hash:"-", or give the embedded field a name and digest_test.pointerHeir a MarshalBinary of its own`},
		{refusalOf[both](), "digest_test.both.x: the field has no digest: it is unexported, and the MarshalBinary of digest_test.both may be that of digest_test.Secret, "},
		{refusalOf[struct {
			secret
			X int
		}](), ".secret: the field has no digest: it is unexported, and the MarshalBinary of "},
		{refusalOf[struct {
			encoding.BinaryMarshaler
			X int
		}](), ".BinaryMarshaler: a encoding.BinaryMarshaler has no digest: " + unknown},
	} {
		if row.err == nil || !strings.Contains(row.err.Error(), row.want) {
			t.Errorf("error %q;\nwant %q", row.err, row.want)
		}
	}
	if _, err := digest.For(nil); err == nil || !strings.Contains(err.Error(), "nil has no type") {
		t.Errorf("For(nil) = %v; want an error that says so", err)
	}
}

// What has a marshaler of its own, or is left out, is not refused.
func TestMarshalersAndTagsMakeUpForWhatHasNoDigest(t *testing.T) {
	for _, row := range []struct{ a, b any }{
		{Secret{1}, Secret{2}},
		{secret{1}, new(Secret{1})},
		{other{Secret{1}, 2}, other{Secret{1}, 3}},
		{opaque(nil), make(opaque)},
		{opaqueAddr(1), opaqueAddr(2)},
		{*must(url.Parse("http://a")), *must(url.Parse("http://b"))},
		{map[opaqueAddr]Secret{1: {2}}, map[opaqueAddr]Secret{1: {3}}},
		{heir{Secret{1}, 1}, heir{Secret{1}, 2}}, // would have one digest if its marshaler counted
		{heir{Secret{1}, 1}, heir{Secret{2}, 1}},
		{struct {
			*Secret
			X int
		}{nil, 1}, struct {
			*Secret
			X int
		}{&Secret{}, 1}},
		{struct {
			time.Time `hash:"-"`
			X         int
		}{X: 1}, struct {
			time.Time `hash:"-"`
			X         int
		}{X: 2}},
	} {
		if sum(t, row.a) == sum(t, row.b) {
			t.Errorf("%T: %v and %v have one digest", row.a, row.a, row.b)
		}
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

type (
	ring struct {
		Name string
		Next *ring
	}
	nest    []nest
	nestMap map[string]nestMap
	tail    struct{ Rest []tail }
	pair    struct{ L, R *pair }
	// prefixed has the address of its first field.
	prefixed struct {
		First ring
		Same  *ring
	}
)

func TestCyclesAndDepthAreErrorsThatSayWhich(t *testing.T) {
	const (
		isCycle = ": the value has a cycle, so it has no end; use indexes instead of pointers"
		isDeep  = ": the value is nested more than 1000 levels deep; use a slice instead of what leads from one to the next"
	)
	next, first := ".Next.Next.Next.Next.Next.Next.Next.Next", "[0][0][0][0][0][0][0][0]"
	self := &ring{}
	self.Next = self
	three := &ring{Next: &ring{Next: &ring{}}}
	three.Next.Next.Next = three
	inSlice := nest{nil}
	inSlice[0] = inSlice
	inMap := nestMap{}
	inMap["x"] = inMap
	twice := &pair{}
	twice.L, twice.R = twice, twice
	var deep *ring
	for range 1_000_000 {
		deep = &ring{Next: deep}
	}
	var deepSlice nest
	for range 1_000_000 {
		deepSlice = nest{deepSlice}
	}
	// These two get too deep only on the way through the second of two pointers or
	// slices with one address, so that both are on that way.
	var almost *ring
	var almostTail []tail
	for range 999 {
		almost, almostTail = &ring{Next: almost}, []tail{{almostTail}}
	}
	sameAddress := &prefixed{First: ring{Next: almost}}
	sameAddress.Same = &sameAddress.First
	sameMemory := []tail{{almostTail}, {}}
	sameMemory[1].Rest = sameMemory[:1]
	for _, row := range []struct {
		name  string
		value any
		want  string
	}{
		{"itself", self, "*digest_test.ring.Next" + isCycle},
		{"itself, by value", *self, "digest_test.ring.Next.Next" + isCycle},
		{"a ring", three, "*digest_test.ring.Next.Next.Next" + isCycle},
		{"a slice in itself", inSlice, "digest_test.nest[0]" + isCycle},
		{"a map in itself", inMap, "digest_test.nestMap[]" + isCycle},
		{"twice itself", twice, "*digest_test.pair.L" + isCycle},
		{"behind other things", []map[string]*ring{{"a": {}, "b": self}}, "[]map[string]*digest_test.ring[0][].Next" + isCycle},
		{"1,000,000 in a list", deep, "*digest_test.ring" + next + "…" + next + isDeep},
		{"1,000,000 slices", deepSlice, "digest_test.nest" + first + "…" + first + isDeep},
		{"a field with the address of its struct", sameAddress, next + isDeep},
		{"a slice with the address of another", sameMemory, "[0].Rest" + isDeep},
	} {
		if err := errorOf(t, row.value); err == nil || !strings.HasSuffix(err.Error(), row.want) {
			t.Errorf("%s: %v;\nwant ...%s", row.name, err, row.want)
		}
	}
}

func TestValuesOf1000LevelsHaveADigest(t *testing.T) {
	var deep *ring
	for range 1000 {
		deep = &ring{Next: deep}
	}
	if err := errorOf(t, deep); err != nil {
		t.Error(err)
	}
	if err := errorOf(t, &ring{Next: deep}); err == nil {
		t.Error("a list of 1001 has a digest")
	}
}

func errorOf(t *testing.T, v any) error {
	t.Helper()
	h, err := digest.For(reflect.TypeOf(v))
	if err != nil {
		t.Fatal(err)
	}
	d, err := h.Sum(reflect.ValueOf(v))
	if err != nil && d != (digest.Digest{}) {
		t.Errorf("Sum = %x and an error: %v", d, err)
	}
	return err
}

var errTouchy = errors.New("no such thing")

// touchy fails as it says.
type touchy struct{ mode string }

func (x touchy) MarshalBinary() ([]byte, error) {
	switch x.mode {
	case "fail":
		return []byte("something"), errTouchy
	case "panic":
		panic("boom")
	case "error":
		panic(errTouchy)
	case "nil":
		panic(nil)
	case "runtime":
		var none []int
		_ = none[len(x.mode)]
	case "again": // a digest inside of a digest
		d := sumOf([]touchy{{"good"}, {"empty"}})
		return d[:], nil
	case "empty":
		return nil, nil
	}
	return []byte(x.mode), nil
}

func TestFailingMarshalersAreErrorsAndLeaveNothingBehind(t *testing.T) {
	good := map[string][]touchy{"a": {{"good"}, {"empty"}, {"again"}}, "b": {}}
	want := sum(t, good)
	for _, row := range []struct{ mode, want string }{
		{"fail", "map[string][]digest_test.touchy[][1]: its MarshalBinary failed: no such thing"},
		{"panic", "[][1]: its MarshalBinary panicked: boom"},
		{"error", "panicked: no such thing"},
		{"nil", "panic called with nil argument"},
		{"runtime", "panicked: runtime error: index out of range"},
	} {
		err := errorOf(t, map[string][]touchy{"a": {{"good"}, {row.mode}}, "b": {}, "c": {{"good"}}})
		if err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: %v; want an error with %q", row.mode, err, row.want)
		}
		if err := errorOf(t, map[touchy]int{{"good"}: 1, {row.mode}: 2}); err == nil || !strings.Contains(err.Error(), "map[digest_test.touchy]int[key]: its MarshalBinary ") {
			t.Errorf("%s: %v of the key of a map; want an error", row.mode, err)
		}
		if (row.mode == "fail") != errors.Is(err, errTouchy) {
			t.Errorf("%s: the error is errTouchy: %t", row.mode, errors.Is(err, errTouchy))
		}
		if got := sum(t, good); got != want {
			t.Errorf("behind a marshaler that does %q, the digest of something else is %x; want %x", row.mode, got, want)
		}
	}
}

// goner ends its goroutine.
type goner struct{}

func (goner) MarshalBinary() ([]byte, error) { runtime.Goexit(); return nil, nil }

func TestGoexitInAMarshalerLeavesNothingBehind(t *testing.T) {
	want := sum(t, map[int]string{1: "a"})
	done := make(chan struct{})
	go func() {
		defer close(done)
		sumOf(map[int]*goner{1: {}})
	}()
	<-done
	if got := sum(t, map[int]string{1: "a"}); got != want {
		t.Errorf("the digest of a map is %x; want %x", got, want)
	}
}

// None of these can be hashed, and there is no reason to panic.
func TestSumTakesOnlyValuesOfItsType(t *testing.T) {
	h, err := digest.For(reflect.TypeFor[int]())
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		value reflect.Value
		want  string
	}{
		{reflect.Value{}, "int: there is no value"},
		{reflect.ValueOf("x"), "int: the value is a string"},
		{reflect.ValueOf(Number(1)), "int: the value is a digest_test.Number"},
		{reflect.ValueOf(secret{}).Field(0), "int: the value is that of an unexported field"},
	} {
		if _, err := h.Sum(row.value); err == nil || err.Error() != row.want {
			t.Errorf("Sum = %v; want %q", err, row.want)
		}
	}
}

func TestZonesFarFromUTCHaveADigest(t *testing.T) {
	offset := int64(1)<<32 + 3600
	far := int(offset)
	if int64(far) != offset {
		t.Skip("no zone is that far from UTC where an int has 32 bits")
	}
	at := time.Unix(0, 0)
	if sum(t, at.In(time.FixedZone("", far))) == sum(t, at.In(time.FixedZone("", 3600))) {
		t.Error("two zones with different offsets have one digest")
	}
}

// Types that hold each other: all paths through them would be too many.
func TestTypesThatHoldEachOtherAreLookedAtOnce(t *testing.T) {
	type all struct{ A, B, C, D *pair }
	done := make(chan error, 1)
	go func() {
		_, err := digest.For(reflect.TypeFor[tangle0]())
		done <- err
	}()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Fatal("For has not returned after a minute")
	}
	if sum(t, all{}) == sum(t, all{D: new(pair)}) {
		t.Error("nil and a pointer to nothing have one digest")
	}
}

type tangle struct {
	A *tangle0
	B []tangle1
	C map[string]tangle2
	D *tangle3
	E []tangle4
	F map[int]tangle5
}

type (
	tangle0 struct{ A, B, C tangle }
	tangle1 struct{ A, B, C *tangle }
	tangle2 struct{ A, B, C []tangle }
	tangle3 struct{ A, B, C map[string]tangle }
	tangle4 struct{ A, B *tangle0 }
	tangle5 struct{ A, B *tangle1 }
)

// What stands beside each other is not inside of each other.
func TestManyThingsBesideEachOtherAreNotDeep(t *testing.T) {
	for _, v := range []any{
		slices.Repeat([][]int{{1}}, 1100), slices.Repeat([][]string{{"a"}}, 1100), slices.Repeat([]*int{new(1)}, 1100), slices.Repeat([]map[string]int{{"a": 1}}, 1100),
	} {
		if err := errorOf(t, v); err != nil {
			t.Error(err)
		}
	}
}

// A value may lead through 2^28 pointers, slices, maps and types with marshalers.
func TestWhatLeadsTooFarIsRefused(t *testing.T) {
	type shared struct {
		P *int
		S [][]int
		M map[string]Secret
		N []Secret
	}
	v := shared{new(1), [][]int{{1}, nil, {}}, map[string]Secret{"": {}}, make([]Secret, 3)} // 10 places
	h, err := digest.For(reflect.TypeOf(v))
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
		err := h.SumAfter(1<<28-row.left, reflect.ValueOf(v))
		if isRefused := err != nil; isRefused != (row.want != "") || isRefused && !strings.HasSuffix(err.Error(), row.want+"the value leads through more than 268435456 pointers, slices and maps; does it share parts? Use indexes instead of pointers") {
			t.Errorf("where %d more are taken: %v; want an error with %q", row.left, err, row.want)
		}
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
		if err, want := errorOf(t, v), "digest_test.chain"+path+": its MarshalBinary failed: no such thing"; err == nil || err.Error() != want {
			t.Errorf("%d steps: %v; want %q", n+1, err, want)
		}
	}
}

// Shared is no executor.Shared.
type Shared[T any] struct{ V T }

func TestOnlyWhatIsAHandleIsOne(t *testing.T) {
	if err := refusalOf[Shared[int]](); err != nil {
		t.Error(err)
	}
	if err := refusalOf[executor.Stats](); err != nil {
		t.Error(err)
	}
	type two struct {
		Secret
		Second
		x int
	}
	if err := refusalOf[two](); err == nil || strings.Contains(err.Error(), "which it embeds") || !strings.Contains(err.Error(), "two.x: the field has no digest: it is unexported, so only its package") {
		t.Errorf("a struct that embeds two marshalers, and so has none: %v; want an error that does not speak of one", err)
	}
	_ = two{x: 0}
}

type Second struct{ _ int }

func (Second) MarshalBinary() ([]byte, error) { return nil, nil }

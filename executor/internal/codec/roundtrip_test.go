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
	"unsafe"

	"pgregory.net/rapid"

	"github.com/gofutures/futures/executor/internal/codec"
)

// WIRE-19
func TestValuesComeBackAsTheyWere(t *testing.T) {
	for _, s := range subjects {
		t.Run(s.name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				v := reflect.New(s.typ)
				draw(t, v.Elem(), 0)
				data, err := s.encode(v.Interface())
				if err != nil {
					t.Fatalf("encode %#v: %v", v.Elem(), err)
				}
				if n := s.codec.Size(); n > 0 && len(data) != n {
					t.Fatalf("%#v has %d bytes; want Size = %d", v.Elem(), len(data), n)
				}
				if s.typ.Kind() == reflect.Slice && len(data) == 0 && !v.Elem().IsNil() {
					data = []byte{} // View tells nil from empty, Append does not
				}
				got, err := s.decode(data)
				if err != nil {
					t.Fatalf("decode %#v from %x: %v", v.Elem(), data, err)
				}
				if d := differ(v.Elem(), reflect.ValueOf(got).Elem(), "x"); d != "" {
					t.Fatalf("%s (from %x)", d, data)
				}

				// What was decoded shares no memory with its bytes.
				for i := range data {
					data[i] ^= 0xff
				}
				if d := differ(v.Elem(), reflect.ValueOf(got).Elem(), "x"); d != "" {
					t.Fatalf("after its bytes were written to: %s", d)
				}
			})
		})
	}
}

// WIRE-19: what the documentation says to have one form only.
func TestWhatHasOneFormOnlyComesBackInThatForm(t *testing.T) {
	c := codecOf[gone](t)
	zero := 0
	data, err := c.Append(nil, gone{A: []string{}, B: map[string]string{}, E: &zero})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := c.Decode(data); err != nil || !reflect.DeepEqual(got, gone{E: &zero}) {
		t.Errorf("empty fields with omitempty: %+v, %v; want zero values", got, err)
	}
	full := gone{A: []string{""}, B: map[string]string{"": ""}, C: -1, D: " ", E: &zero}
	if data, err = c.Append(nil, full); err != nil {
		t.Fatal(err)
	}
	if got, err := c.Decode(data); err != nil || !reflect.DeepEqual(got, full) {
		t.Errorf("other fields with omitempty: %+v, %v; want %+v", got, err, full)
	}

	times := codecOf[time.Time](t)
	if data, err = times.Append(nil, time.Now()); err != nil {
		t.Fatal(err)
	}
	now, err := times.Decode(data)
	if err != nil || strings.Contains(now.String(), "m=") {
		t.Errorf("a time with a monotonic reading: %v, %v; want none", now, err)
	}
	for _, zone := range []*time.Location{time.UTC, time.FixedZone("", 3600)} {
		if data, err = times.Append(nil, time.Time{}.In(zone)); err != nil {
			t.Fatal(err)
		}
		if got, err := times.Decode(data); err != nil || !got.IsZero() {
			t.Errorf("the zero time in %v: %v, %v; want it zero", zone, got, err)
		}
	}

	shared := &inner{A: 1}
	twice := codecOf[[]*inner](t)
	if data, err = twice.Append(nil, []*inner{shared, shared}); err != nil {
		t.Fatal(err)
	}
	if got, err := twice.Decode(data); err != nil || got[0] == got[1] || got[0].A != 1 || got[1].A != 1 {
		t.Errorf("two pointers to one thing: %+v, %v; want two things", got, err)
	}
}

// WIRE-19: an instant is not moved, silently, by what the encoding cannot hold.
func TestTimesAreTheSameInstantOrAnError(t *testing.T) {
	for _, at := range []time.Time{
		time.Unix(0, 1), time.Unix(0, 999_999_999).UTC(),
		time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 999_999_999, time.UTC),
		time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC),
		time.Date(9999, 12, 31, 23, 0, 0, 0, time.UTC).In(time.FixedZone("", 3600)),
		time.Date(1850, 1, 1, 0, 0, 0, 0, time.FixedZone("LMT", 1172)), // Amsterdam, before 1937: 19 min 32 s
		time.Date(1850, 1, 1, 0, 0, 0, 0, time.FixedZone("", -1)),
		time.Date(2000, 1, 1, 0, 0, 0, 0, time.FixedZone("", 24*3600)),
		time.Date(2000, 1, 1, 0, 0, 0, 0, time.FixedZone("", -23*3600-59*60)),
		time.Unix(1<<62, 0), time.Unix(-1<<62, 0),
		{}, time.Time{}.Add(1),
	} {
		sendTime(t, at)
		sendTime(t, &at)
		sendTime(t, struct {
			At *time.Time
			M  map[string][]time.Time
		}{&at, map[string][]time.Time{"": {at}}})
	}
}

func sendTime[T any](t *testing.T, v T) {
	t.Helper()
	c := codecOf[T](t)
	data, err := c.Append(nil, v)
	if err != nil {
		return // an error is no surprise
	}
	got, err := c.Decode(data)
	if err != nil {
		t.Errorf("%+v is encoded and cannot be decoded: %v", v, err)
		return
	}
	if d := differ(reflect.ValueOf(&v).Elem(), reflect.ValueOf(&got).Elem(), "x"); d != "" {
		t.Errorf("%T: %s", v, d)
	}
}

// A time that can cross does.
func TestUsualTimesCross(t *testing.T) {
	for _, zone := range []*time.Location{time.UTC, time.Local, time.FixedZone("", 5*3600+1800), time.FixedZone("", -12*3600)} {
		at := time.Date(2024, 2, 29, 12, 30, 45, 123456789, zone)
		type holder struct {
			_ time.Time
			T []*time.Time
		}
		c := codecOf[holder](t)
		if data, err := c.Append(nil, holder{T: []*time.Time{&at, nil}}); err != nil {
			t.Errorf("%v: %v", at, err)
		} else if got, err := c.Decode(data); err != nil || !got.T[0].Equal(at) || got.T[1] != nil {
			t.Errorf("%v has come back as %v, %v", at, got.T, err)
		}
	}
}

// D14: numbers travel as their memory.
func TestRawEncodingsHaveTheirDocumentedSizes(t *testing.T) {
	check := func(name string, size, wantSize, n, want int) {
		t.Helper()
		if size != wantSize || n != want {
			t.Errorf("%s: Size = %d, encoded in %d bytes; want %d and %d", name, size, n, wantSize, want)
		}
	}
	number := func(s subject, bits int) {
		data, err := s.encode(reflect.New(s.typ).Interface())
		if err != nil {
			t.Fatal(err)
		}
		check(s.name, s.codec.Size(), bits/8, len(data), bits/8)
	}
	for _, s := range subjects {
		switch k := s.typ.Kind(); {
		case s.typ == reflect.TypeFor[word]():
			if s.codec.Size() != 0 || s.codec.Plain() {
				t.Errorf("%s has marshalers: Size = %d, Plain = %v; want 0, false", s.name, s.codec.Size(), s.codec.Plain())
			}
		case k == reflect.Bool:
			number(s, 8)
		case k >= reflect.Int && k <= reflect.Complex128:
			number(s, s.typ.Bits())
		case k == reflect.Slice && s.typ.Elem().Kind() >= reflect.Int && s.typ.Elem().Kind() <= reflect.Complex128 && s.typ.Elem() != reflect.TypeFor[word]():
			v := reflect.New(s.typ)
			v.Elem().Set(reflect.MakeSlice(s.typ, 7, 9))
			data, err := s.encode(v.Interface())
			if err != nil {
				t.Fatal(err)
			}
			check(s.name, s.codec.Size(), 0, len(data), 7*s.typ.Elem().Bits()/8)
		case k == reflect.String:
			v := reflect.New(s.typ)
			v.Elem().SetString("12345")
			data, _ := s.encode(v.Interface())
			check(s.name, s.codec.Size(), 0, len(data), 5)
		}
	}
	if got := codecOf[fixed](t).Size(); got != 8+1+3+8 {
		t.Errorf("a struct of numbers: Size = %d; want 20", got)
	}
	data, _ := codecOf[uint32](t).Append(nil, 0x01020304)
	if !bytes.Equal(data, []byte{4, 3, 2, 1}) {
		t.Errorf("0x01020304 is encoded as %x; want little-endian 04030201", data)
	}
}

func TestPlainSaysWhetherCodeOfTheUsersRuns(t *testing.T) {
	for _, s := range subjects {
		want := true
		switch s.name {
		case "codec_test.secret", "*codec_test.secret", "codec_test.bag", "codec_test.word", "[]codec_test.word", "codec_test.raw", "codec_test.marshaled", "codec_test.onlySecret",
			"netip.Addr", "url.URL", "codec_test.known":
			want = false
		}
		if got := s.codec.Plain(); got != want {
			t.Errorf("%s: Plain = %v; want %v", s.name, got, want)
		}
	}
}

// View and Alias save the copy.
func TestViewAndAliasShareMemory(t *testing.T) {
	numbers := []float64{1, math.Inf(1), -0.5}
	c := codecOf[[]float64](t)
	view, ok := c.View(numbers)
	if !ok || len(view) != 24 || unsafe.Pointer(&view[0]) != unsafe.Pointer(&numbers[0]) {
		t.Fatalf("View = %d bytes, %v; want the 24 bytes of the slice itself", len(view), ok)
	}
	alias, err := c.Alias(view)
	if err != nil || &alias[0] != &numbers[0] || len(alias) != 3 || cap(alias) != 3 {
		t.Fatalf("Alias = %v, cap %d, %v; want the slice itself", alias, cap(alias), err)
	}
	copied, err := c.Decode(view)
	if err != nil || !slices.Equal(copied, numbers) || &copied[0] == &numbers[0] {
		t.Fatalf("Decode = %v, %v; want a copy", copied, err)
	}

	for _, v := range [][]float64{nil, {}} {
		view, _ := c.View(v)
		if (view == nil) != (v == nil) {
			t.Errorf("View(%#v) = %#v; want nil only for nil", v, view)
		}
		for name, f := range map[string]func([]byte) ([]float64, error){"Decode": c.Decode, "Alias": c.Alias} {
			if got, err := f(view); err != nil || (got == nil) != (v == nil) || len(got) != 0 {
				t.Errorf("%s(%#v) = %#v, %v; want %#v", name, view, got, err, v)
			}
		}
	}
	if view, ok := codecOf[string](t).View(""); !ok || view == nil {
		t.Errorf(`View("") = %#v, %v; want empty and not nil`, view, ok)
	}
	if _, ok := codecOf[[]string](t).View(nil); ok {
		t.Error("View of a []string is ok; want only strings and slices of numbers")
	}
}

// An address that the type cannot have, and bytes that change later.
func TestAliasCopiesWhereItHasTo(t *testing.T) {
	memory := make([]uint64, 4)
	whole := unsafe.Slice((*byte)(unsafe.Pointer(&memory[0])), 32)
	for shift := range 8 {
		data := whole[shift : shift+16]
		got, err := codecOf[[]int64](t).Alias(data)
		if err != nil || len(got) != 2 {
			t.Fatalf("Alias at %d = %v, %v; want 2 numbers", shift, got, err)
		}
		if at := uintptr(unsafe.Pointer(&got[0])); at%8 != 0 {
			t.Errorf("Alias at %d: a []int64 at address %#x", shift, at)
		}
		if isShared := unsafe.Pointer(&got[0]) == unsafe.Pointer(&data[0]); isShared != (shift == 0) {
			t.Errorf("Alias at %d: shares memory: %v", shift, isShared)
		}
	}
	data := []byte("text")
	s, err := codecOf[string](t).Alias(data)
	data[0] = 'n'
	if err != nil || s != "text" {
		t.Errorf("a string has become %q, %v, when the bytes behind it were written to; want a copy", s, err)
	}
}

func TestRawDecodingWantsAnExactLength(t *testing.T) {
	for _, s := range subjects {
		n := s.codec.Size()
		if n == 0 {
			continue
		}
		for _, length := range []int{0, n - 1, n + 1, 2 * n} {
			if v, err := s.decode(make([]byte, length)); err == nil {
				t.Errorf("%s: %d bytes are decoded as %#v; want an error, it has %d", s.name, length, v, n)
			}
		}
	}
	if v, err := codecOf[[]int32](t).Decode(make([]byte, 7)); err == nil {
		t.Errorf("7 bytes are decoded as %v; want an error", v)
	}
	if v, err := codecOf[[]int32](t).Alias(make([]byte, 7)); err == nil {
		t.Errorf("7 bytes are aliased as %v; want an error", v)
	}
	if v, err := codecOf[bool](t).Decode([]byte{2}); err == nil {
		t.Errorf("2 is decoded as the bool %v; want an error", v)
	}
	if v, err := codecOf[fixed](t).Decode(append(make([]byte, 8), 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)); err == nil {
		t.Errorf("a bool that is 2 is decoded as %v; want an error", v)
	}
}

// DecodeAll is all of it or nothing.
func TestNumbersBehindEachOtherAreDecodedAtOnce(t *testing.T) {
	c := codecOf[int32](t)
	numbers := []int32{1, -1, math.MaxInt32}
	var data []byte
	for _, n := range numbers {
		data, _ = c.Append(data, n)
	}
	if all, ok := c.ViewAll(numbers); ok && !bytes.Equal(all, data) {
		t.Errorf("ViewAll = %x; want %x", all, data)
	}
	got := make([]int32, 3)
	if ok := c.DecodeAll(data, got); ok && !slices.Equal(got, numbers) {
		t.Errorf("DecodeAll = %v; want %v", got, numbers)
	}
	for _, n := range []int{0, 11, 13, 16} {
		got := make([]int32, 3)
		if c.DecodeAll(make([]byte, n), got) {
			t.Errorf("DecodeAll of %d bytes into 3 numbers is ok", n)
		}
	}
	if codecOf[bool](t).DecodeAll([]byte{2}, make([]bool, 1)) {
		t.Error("DecodeAll has made a bool of 2")
	}
	if all, ok := c.ViewAll(nil); ok && len(all) != 0 {
		t.Errorf("ViewAll(nil) = %x; want nothing", all)
	}
	if _, ok := codecOf[string](t).ViewAll([]string{"a"}); ok {
		t.Error("ViewAll of strings is ok")
	}
}

func TestAppendLeavesWhatWasThere(t *testing.T) {
	before := append(make([]byte, 0, 1000), "before"...)
	loop := &list{}
	loop.Next = loop
	if b, err := codecOf[*list](t).Append(before, loop); err == nil || string(b) != "before" || &b[0] != &before[0] {
		t.Errorf("Append of what cannot be encoded = %q, %v; want what was there, and an error", b, err)
	}
	for _, s := range subjects {
		v := reflect.New(s.typ)
		alone, err := s.encode(v.Interface())
		if err != nil {
			t.Errorf("%s: the zero value: %v", s.name, err)
		}
		if b := s.appendTo(before, v.Interface()); !bytes.Equal(b, append([]byte("before"), alone...)) {
			t.Errorf("%s: Append behind %q = %x; want %x behind it", s.name, before, b, alone)
		}
	}
}

// WIRE-19: fields that are left out do not keep what the entry before had.
func TestEveryValueIsDecodedIntoAFreshOne(t *testing.T) {
	many := map[string]gone{}
	zero := 0
	for i := range 100 {
		key := fmt.Sprint(i)
		if i%2 == 0 {
			many[key] = gone{A: []string{key}, B: map[string]string{key: key}, C: i + 1, D: key, E: &zero}
		} else {
			many[key] = gone{}
		}
	}
	c := codecOf[map[string]gone](t)
	data, err := c.Append(nil, many)
	if err != nil {
		t.Fatal(err)
	}
	first, err := c.Decode(data)
	if err != nil || !reflect.DeepEqual(first, many) {
		t.Fatalf("Decode = %v, %v; want %v", first, err, many)
	}
	second, err := c.Decode(data)
	if err != nil || first["0"].E == second["0"].E || &first["0"].A[0] == &second["0"].A[0] || first["0"].E == first["2"].E {
		t.Errorf("two values share memory (%v)", err)
	}
}

func TestBigMapsAndSlicesCross(t *testing.T) {
	m := make(map[int]string)
	for i := range 300_000 { // more than the encoding's library takes unless it is told to
		m[i*7] = fmt.Sprint(i)
	}
	sendAll(t, m)
	texts := make([]string, 300_000)
	for i := range texts {
		texts[i] = fmt.Sprint(i)
	}
	sendAll(t, texts)
	sendAll(t, []*inner{nil, {}, nil, {B: []string{}}})
	sendAll(t, [][]byte{nil, {}, {0}})
	sendAll(t, struct{ M []map[string]int }{[]map[string]int{nil, {}, {"": 0}}})
	sendAll(t, new(big.Int).Lsh(big.NewInt(-1), 100_000))
	sendAll(t, strings.Repeat("\xff\x00", 1<<20))
}

func sendAll[T any](t *testing.T, v T) {
	t.Helper()
	c := codecOf[T](t)
	data, err := c.Append(nil, v)
	if err != nil {
		t.Errorf("%T: %v", v, err)
		return
	}
	if got, err := c.Decode(data); err != nil || !reflect.DeepEqual(got, v) {
		t.Errorf("%T of %d bytes has not come back the same (%v)", v, len(data), err)
	}
}

// WIRE-13
func TestLargeRawValuesCross(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 128 MiB")
	}
	v := make([]byte, 64<<20)
	v[len(v)-1] = 1
	c := codecOf[[]byte](t)
	data, _ := c.View(v)
	if got, err := c.Decode(data); err != nil || len(got) != len(v) || got[len(v)-1] != 1 {
		t.Errorf("64 MiB have come back as %d bytes, %v", len(got), err)
	}
}

// Over is the memory of the items for numbers of their size, and else its own.
func TestOverTakesTheMemoryOfNumbersOfOneSize(t *testing.T) {
	numbers := []int64{1, 2, 3}
	if out := codec.Over(codecOf[int64](t), codecOf[float64](t), numbers); len(out) != 0 || cap(out) != 3 {
		t.Errorf("for float64: len %d, cap %d; want 0, 3", len(out), cap(out))
	} else if _ = append(out, 0.5); numbers[0] != int64(math.Float64bits(0.5)) || numbers[1] != 2 {
		t.Errorf("for float64: the items are %v after an append; want the first overwritten", numbers)
	}
	numbers = []int64{1, 2, 3}
	_ = append(codec.Over(codecOf[int64](t), codecOf[int32](t), numbers), 7)
	_ = append(codec.Over(codecOf[int64](t), codecOf[string](t), numbers), "a")
	if !slices.Equal(numbers, []int64{1, 2, 3}) {
		t.Errorf("for int32 and string: the items are %v after an append", numbers)
	}
	odd := make([]complex64, 3) // its alignment is less than its size
	for range 20 {
		if out := codec.Over(codecOf[complex64](t), codecOf[int64](t), odd); cap(out) != 3 {
			t.Errorf("cap = %d; want 3", cap(out))
		}
	}
	if out := codec.Over(codecOf[int64](t), codecOf[int64](t), nil); len(out) != 0 {
		t.Errorf("of nothing: %v", out)
	}
}

// AliasAll is as many numbers as there are bytes for, wherever they are.
func TestAliasAllOfNumbersAtAnyAddress(t *testing.T) {
	c := codecOf[int32](t)
	numbers := []int32{1, -2, 1 << 30}
	data, _ := c.ViewAll(numbers)
	data = slices.Clone(data)
	for _, shift := range []int{0, 1, 2, 3} { // alignment is not the caller's to mind
		moved := append(make([]byte, shift, shift+len(data)), data...)[shift:]
		got, ok := c.AliasAll(moved)
		if !ok || !slices.Equal(got, numbers) {
			t.Errorf("AliasAll = %v, %t; want %v", got, ok, numbers)
		}
	}
	for _, n := range []int{0, 1, 11, 13} {
		if got, ok := c.AliasAll(make([]byte, n)); ok {
			t.Errorf("AliasAll of %d bytes = %v; want none", n, got)
		}
	}
	if _, ok := codecOf[string](t).AliasAll(data); ok {
		t.Error("AliasAll makes strings of bytes without a length")
	}
}

package codec_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	_ "time/tzdata"
	"unsafe"

	"pgregory.net/rapid"

	"github.com/gofutures/futures/executor/internal/codec"
)

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
				if d := differ(v.Elem(), reflect.ValueOf(got).Elem()); d != "" {
					t.Fatalf("what arrives %s (from %x)", d, data)
				}

				// What was decoded shares no memory with its bytes.
				for i := range data {
					data[i] ^= 0xff
				}
				if d := differ(v.Elem(), reflect.ValueOf(got).Elem()); d != "" {
					t.Fatalf("after its bytes were written to: %s", d)
				}
			})
		})
	}
}

// Tags are for other encodings, which may leave out what is empty.
func TestTagsDoNotCount(t *testing.T) {
	type set = emptyIsNothing
	type nested struct {
		E  Embedded3
		S  []Embedded3
		M  map[string]Embedded3
		P  *Embedded3
		In struct {
			A []string `json:"a,omitempty"`
		}
	}
	negative := math.Copysign(0, -1)
	empty := Embedded3{A: []string{}, B: []byte{}, C: json.RawMessage{}, D: pixels{}, E: map[string]int{}, F: negative, G: float32(negative), H: set{map[byte]bool{}}, I: "left out?", J: []int{}}
	sendAll(t, empty)
	sendAll(t, struct{ Embedded3 }{empty})
	sendAll(t, struct{ *Embedded3 }{&empty})
	sendAll(t, nested{E: empty, S: []Embedded3{empty, {}}, M: map[string]Embedded3{"a": empty}, P: &empty, In: struct {
		A []string `json:"a,omitempty"`
	}{[]string{}}})
	sendAll(t, struct {
		_ struct{} `cbor:",toindefarray"`
		A []string `cbor:"one,keyasint"`
		B []string `cbor:"one,keyasint"`
	}{A: []string{"a"}, B: []string{"b"}})
	sendAll(t, struct {
		A float64             `json:",omitzero"`
		B [1]float64          `json:",omitzero"`
		C struct{ F float64 } `json:",omitzero"`
		D zeroer              `json:",omitzero"`
		E []string            `json:"-"`
		F string              `cbor:"-"`
	}{negative, [1]float64{negative}, struct{ F float64 }{negative}, zeroer{7}, []string{"e"}, "f"})
}

type Embedded3 struct {
	A []string        `json:"a,omitempty"`
	B []byte          `cbor:"b,omitempty"`
	C json.RawMessage `json:",omitempty"`
	D pixels          `cbor:"1,keyasint,omitempty"`
	E map[string]int  `json:"e,omitempty"`
	F float64         `json:",omitempty"`
	G float32         `json:",omitempty"`
	H emptyIsNothing  `json:",omitempty"`
	I string          `json:"-"`
	J []int           `cbor:"-"`
}

// NaNs of all kinds keep their bits beside what is no number.
func TestFloatsKeepTheirBits(t *testing.T) {
	for _, bits := range []uint32{0x7f800001, 0xff800001, 0x7fbfffff, 0x7fc00000, 0x7fc00001, 0xffffffff, 0x80000000, 1, 0x7f800000} {
		f := math.Float32frombits(bits) // of which a conversion would make a quiet one
		sendAll(t, struct {
			M map[string]float32
			S []struct{ F float32 }
			P *float32
			K map[float32][]float32
		}{map[string]float32{"": f}, []struct{ F float32 }{{f}}, &f, map[float32][]float32{f: {f}}})
		d := math.Float64frombits(uint64(bits)<<32 | 1)
		sendAll(t, map[string]float64{"": d})
		sendAll(t, map[float64]complex128{d: complex(d, d)})
		sendAll(t, []*float64{&d})
	}
	nan := math.NaN()
	sendAll(t, map[float64]int{nan: 1, nan: 2, math.Float64frombits(0xfff0000000000001): 3, 0: 4})
}

// What is no part of a value.
func TestWhatIsNoPartOfAValueIsNotSent(t *testing.T) {
	now := roundTrip(t, time.Now())
	if strings.Contains(now.String(), "m=") {
		t.Errorf("a time with a monotonic reading has come back as %v; want none", now)
	}
	shared := &inner{A: 1}
	if got := roundTrip(t, []*inner{shared, shared}); got[0] == got[1] || got[0].A != 1 || got[1].A != 1 {
		t.Errorf("two pointers to one thing: %+v; want two things", got)
	}
	if got := roundTrip(t, make([]string, 1, 9)); cap(got) != 1 {
		t.Errorf("a slice of capacity 9 has come back with %d; want that of its length", cap(got))
	}
	if got := roundTrip(t, struct{ A, _ int }{A: 1}); got.A != 1 {
		t.Errorf("beside a blank field, 1 has become %d", got.A)
	}
}

// All times cross, with their offset and the name of their zone.
func TestTimesArriveAsTheyWere(t *testing.T) {
	zones := []*time.Location{time.UTC, time.Local, time.FixedZone("", 0), time.FixedZone("", 3600), time.FixedZone("CET", 3600), time.FixedZone("UTC", 3600), time.FixedZone("GMT", 0),
		time.FixedZone("LMT", 1172), time.FixedZone("", -1), time.FixedZone("", 24*3600), time.FixedZone("", -24*3600), time.FixedZone("no \xff UTF-8", math.MaxInt), time.FixedZone("", math.MinInt)}
	for _, name := range []string{"Europe/Berlin", "America/New_York", "Asia/Kolkata"} {
		zone, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		zones = append(zones, zone)
	}
	for _, at := range []time.Time{
		{}, time.Time{}.Add(1), time.Now(), time.Unix(0, 1), time.Unix(0, 999_999_999), time.Unix(-1, 5),
		time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 999_999_999, time.UTC),
		time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(1850, 1, 1, 0, 0, 0, 0, time.UTC),
		time.Date(294277, 1, 9, 4, 0, 54, 775_807_000, time.UTC), // the infinity of a database
		time.Unix(math.MaxInt64, 999_999_999), time.Unix(math.MinInt64, 0), time.Unix(1<<62, 0), time.Unix(-1<<62, 0),
	} {
		for _, zone := range zones {
			at := at.In(zone)
			sendAll(t, at)
			sendAll(t, &at)
			sendAll(t, struct {
				At *time.Time
				M  map[string][]time.Time `json:",omitempty"`
			}{&at, map[string][]time.Time{"": {at, at.Add(1)}}})
		}
	}
}

// A location is more than the offset and the name of its zone: these two are kept
// where they mean the same.
func TestUTCAndLocalAreThemselvesWhereTheyMeanTheSame(t *testing.T) {
	defer func(was *time.Location) { time.Local = was }(time.Local)
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	summer := time.Date(2024, 7, 1, 12, 0, 0, 0, time.UTC)
	if got := roundTrip(t, summer); got != summer {
		t.Errorf("%v has come back as %v in %v; want it equal for ==", summer, got, got.Location())
	}
	if got := roundTrip(t, time.Time{}); got != (time.Time{}) {
		t.Errorf("the zero time has come back as %v in %v; want it equal for ==", got, got.Location())
	}
	time.Local = berlin
	at := summer.In(time.Local)
	if got := roundTrip(t, at); got != at || got.Location() != time.Local {
		t.Errorf("%v has come back as %v in %v; want time.Local", at, got, got.Location())
	}
	if got := roundTrip(t, summer.In(time.FixedZone("CEST", 7200))); got.Location() == time.Local {
		t.Errorf("a fixed zone has become time.Local, though winter has another offset there")
	}
	data, err := codecOf[time.Time](t).Append(nil, at)
	if err != nil {
		t.Fatal(err)
	}
	for _, other := range []*time.Location{time.UTC, time.FixedZone("CEST", 3600), time.FixedZone("EET", 7200)} {
		time.Local = other // as in a process elsewhere
		got, err := codecOf[time.Time](t).Decode(data)
		if name, offset := got.Zone(); err != nil || !got.Equal(at) || name != "CEST" || offset != 7200 || got.Location() == other {
			t.Errorf("%v, sent where it is the local time, has come as %v to where local is %v (%v); want it as it was sent", at, got, other, err)
		}
	}
}

func roundTrip[T any](t *testing.T, v T) T {
	t.Helper()
	c := codecOf[T](t)
	data, err := c.Append(nil, v)
	if err != nil {
		t.Fatalf("%T: %v", v, err)
	}
	got, err := c.Decode(data)
	if err != nil {
		t.Fatalf("%T: %v", v, err)
	}
	return got
}

// Of types that nobody has thought of, too.
func TestValuesOfRandomTypesComeBackAsTheyWere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		typ := drawStruct(t, 0)
		v := reflect.New(typ)
		draw(t, v.Elem(), 2)
		f, err := codec.FormOf(typ)
		if err != nil {
			t.Fatalf("%v: %v", typ, err)
		}
		data, err := f.Encode([]byte("before"), v)
		if err != nil || !bytes.HasPrefix(data, []byte("before")) {
			t.Fatalf("encode %v: %q, %v", typ, data, err)
		}
		data = data[len("before"):]
		if n := f.Size(); n > 0 && len(data) != n {
			t.Fatalf("%v has %d bytes; want Size = %d", typ, len(data), n)
		}
		if int64(len(data)) < f.Least() {
			t.Fatalf("%v has %d bytes; want %d at least", typ, len(data), f.Least())
		}
		got, err := f.Decode(data)
		if err != nil {
			t.Fatalf("decode %v: %v", typ, err)
		}
		if d := differ(v.Elem(), got.Elem()); d != "" {
			t.Fatalf("%v: what arrives %s", typ, d)
		}
		for i := range len(data) { // bytes that are cut off are never taken for less
			if _, err := f.Decode(data[:i:i]); err == nil {
				t.Fatalf("%v: %d of %d bytes are decoded", typ, i, len(data))
			}
		}
		if _, err := f.Decode(append(data, 0)); err == nil {
			t.Fatalf("%v: a byte more is decoded", typ)
		}
	})
}

// Numbers travel as their memory.
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
		want := !slices.ContainsFunc([]string{"secret", "bag", "word", "raw", "marshaled", "onlySecret", "netip.Addr", "url.URL", "known", "tagged"},
			func(name string) bool { return strings.HasSuffix(s.name, name) })
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
	isLittleEndian := binary.NativeEndian.Uint16([]byte{1, 0}) == 1
	if all, ok := c.ViewAll(numbers); ok != isLittleEndian || ok && !bytes.Equal(all, data) {
		t.Errorf("ViewAll = %x, %t; want %x", all, ok, data)
	}
	got := make([]int32, 3)
	if ok := c.DecodeAll(data, got); ok != isLittleEndian || ok && !slices.Equal(got, numbers) {
		t.Errorf("DecodeAll = %v, %t; want %v", got, ok, numbers)
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

// An entry of a map does not keep what the one before had.
func TestEveryValueIsDecodedIntoAFreshOne(t *testing.T) {
	many := map[string]tagged{}
	zero := 0
	for i := range 100 {
		key := fmt.Sprint(i)
		if i%2 == 0 {
			many[key] = tagged{A: []string{key}, B: map[string]string{key: key}, C: float32(i), I: key, J: &zero}
		} else {
			many[key] = tagged{}
		}
	}
	first, second := roundTrip(t, many), roundTrip(t, many)
	if d := differ(reflect.ValueOf(many), reflect.ValueOf(first)); d != "" {
		t.Fatalf("what arrives %s", d)
	}
	if first["0"].J == second["0"].J || &first["0"].A[0] == &second["0"].A[0] || first["0"].J == first["2"].J {
		t.Error("two values share memory")
	}
}

func TestBigMapsAndSlicesCross(t *testing.T) {
	m := make(map[int]string)
	for i := range 50_000 {
		m[i*7] = fmt.Sprint(i)
	}
	sendAll(t, m)
	texts := make([]string, 50_000)
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
	if d := differ(reflect.ValueOf(&v).Elem(), reflect.ValueOf(new(roundTrip(t, v))).Elem()); d != "" {
		t.Errorf("%T: what arrives %.1000s", v, d)
	}
}

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

// SameNumbers is true for numbers of one size, and for nothing else.
func TestSameNumbers(t *testing.T) {
	if !codec.SameNumbers(codecOf[int64](t), codecOf[float64](t)) || !codec.SameNumbers(codecOf[int8](t), codecOf[bool](t)) {
		t.Error("SameNumbers of numbers of one size is false")
	}
	if codec.SameNumbers(codecOf[int64](t), codecOf[int32](t)) || codec.SameNumbers(codecOf[int64](t), codecOf[string](t)) ||
		codec.SameNumbers(codecOf[struct{ X int64 }](t), codecOf[int64](t)) || codec.SameNumbers(codecOf[int64](t), codecOf[struct{ X int64 }](t)) {
		t.Error("SameNumbers of other types is true")
	}
}

// Room is the memory behind the bytes, as far as it is aligned and long enough.
func TestRoomIsTheMemoryBehindTheBytes(t *testing.T) {
	words := make([]int64, 4)
	memory := unsafe.Slice((*byte)(unsafe.Pointer(&words[0])), 32)
	room, ok := codec.Room(codecOf[int64](t), memory[:8])
	if !ok || len(room) != 3 {
		t.Fatalf("Room of 32 bytes behind 8 = %d numbers, %t; want 3", len(room), ok)
	}
	if room[0], room[2] = 7, 9; words[1] != 7 || words[3] != 9 || words[0] != 0 {
		t.Errorf("written to the room: %v; want it behind the first word", words)
	}
	for name, b := range map[string][]byte{"not aligned": memory[:9], "too short": memory[:8:15]} {
		if _, ok := codec.Room(codecOf[int64](t), b); ok {
			t.Errorf("Room that is %s is ok", name)
		}
	}
	if _, ok := codec.Room(codecOf[string](t), memory[:0]); ok {
		t.Error("Room for strings is ok")
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
		isAligned := uintptr(unsafe.Pointer(&moved[0]))%4 == 0
		if isShared := unsafe.Pointer(&got[0]) == unsafe.Pointer(&moved[0]); isShared != isAligned || uintptr(unsafe.Pointer(&got[0]))%4 != 0 {
			t.Errorf("AliasAll at %p shares memory: %t, and is at %p; want it shared where that is aligned", moved, isShared, got)
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

package codec_test

import (
	"fmt"
	"testing"
	"time"
)

// The values of the benchmarks.
type (
	benchPoint struct {
		Number int
		Label  string
	}
	benchOrder struct {
		ID    int64
		Names []string
		At    time.Time
		Lines []benchPoint
		Attrs map[string]string
		Next  *benchPoint
	}
)

func newBenchOrder() benchOrder {
	return benchOrder{
		ID: 7, Names: []string{"one", "two", "three"}, At: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC),
		Lines: []benchPoint{{1, "a"}, {2, "bb"}, {3, "ccc"}}, Attrs: map[string]string{"k": "v", "kk": "vv"}, Next: &benchPoint{4, "d"},
	}
}

func BenchmarkCodec(b *testing.B) {
	numbers := make(map[string]int)
	texts := make([]string, 1000)
	times := make([]time.Time, 1000)
	for i := range 1000 {
		numbers[fmt.Sprint("key ", i)] = i
		texts[i] = fmt.Sprint("text ", i)
		times[i] = time.Unix(int64(i), 5).UTC()
	}
	bench(b, 7)
	bench(b, make([]byte, 1000))
	bench(b, "some text")
	bench(b, benchPoint{7, "label"})
	bench(b, newBenchOrder())
	bench(b, map[string]int{"a": 1, "b": 2, "c": 3})
	bench(b, numbers)
	bench(b, texts)
	bench(b, times)
	bench(b, make([]benchPoint, 1000))
}

func bench[T any](b *testing.B, v T) {
	c := codecOf[T](b)
	data, err := c.Append(nil, v)
	if err != nil {
		b.Fatal(err)
	}
	name := fmt.Sprintf("%T of %d bytes/", v, len(data))
	b.Run(name+"encode", func(b *testing.B) {
		b.ReportAllocs()
		buf := make([]byte, 0, len(data))
		for b.Loop() {
			if _, err := c.AppendAt(buf, &v); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run(name+"decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := c.Decode(data); err != nil {
				b.Fatal(err)
			}
		}
	})
}

var isRace bool

// What is encoded behind other bytes needs no memory, and what is decoded only its own.
func TestFewAllocations(t *testing.T) {
	if isRace {
		t.Skip("with it, sync.Pool drops some")
	}
	order, numbers := newBenchOrder(), map[int]int{1: 2, 3: 4}
	if n := encodeAllocs(t, order); n > 0 {
		t.Errorf("to encode a struct takes %v allocations; want none", n)
	}
	if n := encodeAllocs(t, numbers); n > 0 {
		t.Errorf("to encode a map takes %v allocations; want none", n)
	}
	c := codecOf[map[int]int](t)
	data, _ := c.Append(nil, numbers)
	if n := testing.AllocsPerRun(100, func() { _, _ = c.Decode(data) }); n > 3 { // the map, what is in it, and the variable
		t.Errorf("to decode a map of two takes %v allocations; want 3", n)
	}
}

func encodeAllocs[T any](t *testing.T, v T) float64 {
	c := codecOf[T](t)
	b := make([]byte, 0, 1000)
	return testing.AllocsPerRun(100, func() { _, _ = c.AppendAt(b, &v) })
}

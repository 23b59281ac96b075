package executor_test

import (
	"context"
	"errors"
	"hash/fnv"
	"math"
	"reflect"
	"slices"
	"testing"
	"unsafe"

	"github.com/gofutures/futures/executor"
)

func init() {
	executor.Register(futKeep)
	executor.Register(futKept)
	executor.Register(futKeepText)
	executor.Register(futSpoil)
	executor.Register(futShapes)
	executor.Register(futBytes)
	executor.Register(futText)
	executor.Register(futFloats)
	executor.Register(futInts)
}

// kept is what a worker keeps of its arguments.
var kept []func() []byte

func futKeep(_ context.Context, b []byte) (int, error) {
	kept = append(kept, func() []byte { return b })
	return len(kept), nil
}

func futKeepText(_ context.Context, s string) (int, error) {
	kept = append(kept, func() []byte { return []byte(s) })
	return len(kept), nil
}

// futKept returns the hashes of what was kept.
func futKept(context.Context, int) ([]uint64, error) {
	var out []uint64
	for _, b := range kept {
		out = append(out, hashOf(b()))
	}
	return out, nil
}

// futSpoil overwrites its argument.
func futSpoil(_ context.Context, b []byte) (int, error) {
	for i := range b {
		b[i] ^= 0xff
	}
	return len(b), nil
}

func hashOf(b []byte) uint64 {
	h := fnv.New64a()
	h.Write(b)
	return h.Sum64()
}

// pattern returns n bytes that are those of seed alone.
func pattern(n int, seed byte) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7+i>>8) + seed
	}
	return b
}

// Arguments are copied: what a function keeps of one, later calls do not
// overwrite. Register says what does not hold for: slices of 1 MiB and more.
func TestArgumentThatAWorkerKeepsStaysAsItIs(t *testing.T) {
	for _, size := range []int{10, 1 << 10, 100 << 10, 1<<20 - 1, 1 << 20, 2 << 20} {
		ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1})
		var want []uint64
		for seed := range byte(5) {
			b := pattern(size, seed)
			if size < 1<<20 {
				want = append(want, hashOf(b))
				if _, err := endOf(t, executor.Submit(t.Context(), ex, futKeep, b)); err != nil {
					t.Fatal(err)
				}
			}
			want = append(want, hashOf(b))
			if _, err := endOf(t, executor.Submit(t.Context(), ex, futKeepText, string(b))); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := endOf(t, executor.Submit(t.Context(), ex, futKept, 0)); !slices.Equal(got, want) || err != nil {
			t.Errorf("a worker has kept arguments of %d bytes, which have the hashes %x, %v later; want %x, as when they came", size, got, err, want)
		}
		closed(t, ex)
	}
}

// What a function does to its argument, the caller does not see.
func TestArgumentThatAWorkerOverwritesStaysAsItIsHere(t *testing.T) {
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1})
	for _, size := range []int{1, 1 << 10, 100 << 10, 1<<20 - 1, 1 << 20, 1<<20 + 1, 5 << 20} {
		b := pattern(size, 3)
		before := hashOf(b)
		for range 2 { // the second would see what the first did
			if n, err := endOf(t, executor.Submit(t.Context(), ex, futSpoil, b)); n != size || err != nil {
				t.Fatalf("Result = %d, %v; want %d", n, err, size)
			}
			if got, err := endOf(t, executor.Submit(t.Context(), ex, remoteEcho, b)); hashOf(got) != before || err != nil {
				t.Errorf("a call after one that overwrote its argument of %d bytes got %x, %v; want %x", size, hashOf(got), err, before)
			}
		}
		if hashOf(b) != before {
			t.Errorf("the argument of %d bytes has changed here", size)
		}
	}
}

// Results are the caller's: later calls do not overwrite them, and what is done
// to one is seen nowhere else.
func TestResultsOfWorkersAreTheCallers(t *testing.T) {
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 2})
	for _, size := range []int{1 << 10, 900 << 10, 2 << 20} {
		var got [][]byte
		for seed := range byte(10) {
			b, err := endOf(t, executor.Submit(t.Context(), ex, remoteEcho, pattern(size, seed)))
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, b)
			if seed == 4 {
				clear(got[0])
			}
		}
		for seed, b := range got[1:] {
			if want := pattern(size, byte(seed+1)); !slices.Equal(b, want) {
				t.Errorf("result %d of 10, of %d bytes, is another one at the end", seed+1, size)
			}
		}
	}
	big := pattern(3<<20, 1)
	all, err := executor.MapSlice(t.Context(), ex, remoteEcho, [][]byte{big, pattern(5, 2), pattern(2<<20, 3), nil, pattern(1<<20, 4)})
	if err != nil || len(all) != 5 || !slices.Equal(all[0], big) || !slices.Equal(all[1], pattern(5, 2)) || !slices.Equal(all[2], pattern(2<<20, 3)) || all[3] != nil || !slices.Equal(all[4], pattern(1<<20, 4)) {
		t.Errorf("MapSlice of 3 MiB, 5 bytes, 2 MiB, nil, and 1 MiB: %v, or other bytes than these", err)
	}
}

// shapes says what a worker has got of a value.
type shapes struct {
	Nil      bool
	Len, Cap int
	Hash     uint64
}

func futBytes(_ context.Context, b []byte) (shapes, error) {
	return shapes{b == nil, len(b), cap(b), hashOf(b)}, nil
}

func futText(_ context.Context, s string) (string, error) { return s, nil }

func futFloats(_ context.Context, v []float64) ([]float64, error) {
	if uintptr(unsafe.Pointer(unsafe.SliceData(v)))%unsafe.Alignof(float64(0)) != 0 {
		return nil, errors.New("the argument is not aligned")
	}
	return v, nil
}

func futInts(_ context.Context, v []int16) ([]int16, error) { return v, nil }

// assortment has what may be nil or empty inside of something else.
type assortment struct {
	Bytes  []byte
	Floats []float64
	Texts  []string
	Map    map[string]int
	Ptr    *int
	Nested [][]byte
}

func futShapes(_ context.Context, a assortment) (assortment, error) { return a, nil }

// Nil, empty and full slices, around the length from which memory is shared,
// come back as they went.
func TestRawValuesCrossAsTheyAre(t *testing.T) {
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1})
	const mib = 1 << 20
	backing := pattern(2*mib+16, 9)
	for name, b := range map[string][]byte{
		"nil": nil, "empty": {}, "a byte": {7}, "empty with room": make([]byte, 0, 100), "4 KiB": pattern(4<<10, 1), "64 KiB - 1": pattern(64<<10-1, 1), "64 KiB": pattern(64<<10, 1),
		"1 MiB - 1": pattern(mib-1, 2), "1 MiB": pattern(mib, 3), "1 MiB + 1": pattern(mib+1, 4), "an odd address": backing[3 : mib+8], "an odd end": backing[1 : 2*mib-2],
	} {
		got, err := endOf(t, executor.Submit(t.Context(), ex, futBytes, b))
		if err != nil || got.Nil != (b == nil) || got.Len != len(b) || got.Hash != hashOf(b) {
			t.Errorf("the worker got %+v, %v of %s; want %d bytes, nil: %t", got, err, name, len(b), b == nil)
		}
		if got.Cap > len(b)+64 {
			t.Errorf("the worker got %s with a capacity of %d; want no more than its length, behind which is the memory of other calls", name, got.Cap)
		}
		back, err := endOf(t, executor.Submit(t.Context(), ex, remoteEcho, b))
		if err != nil || (back == nil) != (b == nil) || !slices.Equal(back, b) {
			t.Errorf("%s came back as %d bytes, nil: %t, %v; want %d bytes, nil: %t", name, len(back), back == nil, err, len(b), b == nil)
		}
	}
	for _, n := range []int{0, 1, 100, mib - 1, mib, mib + 1} {
		s := string(pattern(n, 5))
		if back, err := endOf(t, executor.Submit(t.Context(), ex, futText, s)); back != s || err != nil {
			t.Errorf("a string of %d bytes came back as one of %d, %v, or another", n, len(back), err)
		}
	}
	special := []float64{0, math.Copysign(0, -1), math.Inf(1), math.NaN(), math.Float64frombits(0x7ff8dead00000001), math.SmallestNonzeroFloat64, math.MaxFloat64}
	for _, v := range [][]float64{nil, {}, special, make([]float64, mib/8-1), make([]float64, mib/8), make([]float64, mib/8+1)} {
		for i := range v {
			if v[i] == 0 && len(v) > 100 {
				v[i] = float64(i) / 3
			}
		}
		back, err := endOf(t, executor.Submit(t.Context(), ex, futFloats, v))
		same := slices.EqualFunc(back, v, func(a, b float64) bool { return math.Float64bits(a) == math.Float64bits(b) })
		if err != nil || !same || (back == nil) != (v == nil) {
			t.Errorf("%d floats, nil: %t, came back as %d, nil: %t, %v, or other bits", len(v), v == nil, len(back), back == nil, err)
		}
	}
	for _, n := range []int{-1, 0, 1, 3, mib/2 - 1, mib / 2, mib/2 + 1} {
		var v []int16
		if n >= 0 {
			v = make([]int16, n)
		}
		for i := range v {
			v[i] = int16(i * 31)
		}
		if back, err := endOf(t, executor.Submit(t.Context(), ex, futInts, v)); err != nil || !slices.Equal(back, v) || (back == nil) != (v == nil) {
			t.Errorf("%d int16, nil: %t, came back as %d, nil: %t, %v, or others", len(v), v == nil, len(back), back == nil, err)
		}
	}
	one := 1
	for name, a := range map[string]assortment{
		"nothing": {},
		"empty":   {[]byte{}, []float64{}, []string{}, map[string]int{}, new(int), [][]byte{}},
		"full":    {[]byte{1}, []float64{2}, []string{"", "a"}, map[string]int{"": 0, "b": 1}, &one, [][]byte{nil, {}, {3}}},
	} {
		if back, err := endOf(t, executor.Submit(t.Context(), ex, futShapes, a)); err != nil || !reflect.DeepEqual(back, a) {
			t.Errorf("%s in a struct came back as %#v, %v; want %#v", name, back, err, a)
		}
	}
}

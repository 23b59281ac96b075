package executor

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"
)

func init() {
	Register(laneSame)
	Register(laneOther)
	Register(laneShorter)
	Register(laneLonger)
	Register(laneText)
	Register(laneSlow)
}

func laneSame(_ context.Context, x int64) (int64, error)        { return -x, laneError(x) }
func laneOther(_ context.Context, x int64) (float64, error)     { return float64(x) / 2, laneError(x) }
func laneShorter(_ context.Context, x int64) (int16, error)     { return int16(x), laneError(x) }
func laneLonger(_ context.Context, x int16) (complex128, error) { return complex(float64(x), 1), nil }
func laneText(_ context.Context, x string) (string, error)      { return x + "!", nil }

func laneSlow(ctx context.Context, x int64) (int64, error) {
	if x == laneStart {
		<-ctx.Done()
	}
	return x, ctx.Err()
}

const (
	laneBad   = math.MaxInt64     // fails
	laneDead  = math.MaxInt64 - 1 // panics
	laneStart = math.MaxInt64 - 2 // waits for its ctx
)

var errLane = errors.New("a bad item")

func laneError(x int64) error {
	switch x {
	case laneBad:
		return errLane
	case laneDead:
		panic("a dead item")
	}
	return nil
}

func laneMap[In, Out comparable](t *testing.T, ex *ProcessPoolExecutor, fn Func[In, Out], in []In) {
	t.Helper()
	want := make([]Out, len(in))
	for i, x := range in {
		want[i], _ = fn(t.Context(), x)
	}
	for name, opts := range map[string][]MapOption{"": nil, "ChunkSize(9000)": {ChunkSize(9000)}} {
		before := slices.Clone(in)
		if got, err := MapSlice(t.Context(), ex, fn, in, opts...); err != nil || !slices.Equal(got, want) {
			t.Errorf("MapSlice(%s) of %T has other results than a loop, or an error: %v", name, in, err)
		}
		if !slices.Equal(in, before) {
			t.Errorf("MapSlice(%s) of %T has changed its input", name, in)
		}
		i := 0
		for got, err := range Map(t.Context(), ex, fn, slices.Values(in), append(opts, ChunkSize(9000), Buffer(50_000))...) {
			if err != nil || got != want[i] {
				t.Fatalf("Map(%s) of %T: item %d is %v, %v; want %v", name, in, i, got, err, want[i])
			}
			i++
		}
	}
}

// Large chunks go through memory that a worker shares with its parent, and
// numbers are made in place there. That changes nothing of what comes back,
// whatever the sizes of both, and all of the memory can be lent again.
func TestLargeChunksThroughSharedMemory(t *testing.T) {
	needsProcesses(t)
	ex := &ProcessPoolExecutor{MaxWorkers: 2, KillGrace: 20 * time.Millisecond}
	defer ex.Close()
	numbers, small, texts := make([]int64, 200_000), make([]int16, 200_000), make([]string, 50_000)
	for i := range numbers {
		numbers[i], small[i] = int64(i)*7-1000, int16(i)
	}
	for i := range texts {
		texts[i] = fmt.Sprint("text ", i)
	}
	laneMap(t, ex, laneSame, numbers)
	laneMap(t, ex, laneOther, numbers)
	laneMap(t, ex, laneShorter, numbers)
	laneMap(t, ex, laneLonger, small)
	laneMap(t, ex, laneText, texts)

	for _, bad := range []int{0, 8999, 9000, 100_000, len(numbers) - 1} {
		in := slices.Clone(numbers)
		in[bad] = laneBad
		if _, err := MapSlice(t.Context(), ex, laneSame, in, ChunkSize(9000)); err == nil || err.Error() != errLane.Error() {
			t.Errorf("MapSlice with a bad item %d: %v; want %v", bad, err, errLane)
		}
		in[len(in)-1] = laneDead
		failed, i := 0, 0
		for got, err := range Map(t.Context(), ex, laneSame, slices.Values(in), ChunkSize(9000)) {
			if isBad := i == bad || i == len(in)-1; isBad != (err != nil) || !isBad && got != -in[i] {
				t.Fatalf("Map with a bad item %d: item %d is %v, %v", bad, i, got, err)
			} else if isBad {
				failed++
			}
			i++
		}
		if i != len(in) || failed == 0 {
			t.Errorf("Map with a bad item %d: %d items, %d failed; want %d, at least 1", bad, i, failed, len(in))
		}
	}

	in := slices.Clone(numbers)
	in[50_000] = laneStart
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := MapSlice(ctx, ex, laneSlow, in, ChunkSize(9000)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("MapSlice under a ctx that ends = %v; want %v", err, context.DeadlineExceeded)
	}
	laneMap(t, ex, laneSame, numbers)

	end := time.Now().Add(time.Minute)
	for {
		lent := ex.inside().theWorkers().Inventory().Lent
		if lent == 0 {
			break
		}
		if time.Now().After(end) { // what was taken back is on its way
			t.Fatalf("%d areas of shared memory are still lent", lent)
		}
		time.Sleep(time.Millisecond)
	}
}

package executor

import (
	"context"
	"maps"
	"math"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// A chunk is no longer than two fair shares of what is left, however short an element
// was, nor shorter than a quarter of one, or an element.
func TestAChunkIsAboutAFairShare(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := &bulk[int, int]{width: rapid.IntRange(1, 64).Draw(t, "width")}
		left := rapid.Int64Range(1, 1<<40).Draw(t, "left")
		least := rapid.Int64Range(0, math.MaxInt64).Draw(t, "least")
		got, share := b.guided(left, least), left/int64(b.width)
		if got < max(1, share/4) || got > max(1, 2*share+1) {
			t.Fatalf("%d elements of %d left, %d runners; a fair share has %d", got, left, b.width, share)
		}
		if least <= share && got < least {
			t.Fatalf("%d elements of %d left, %d runners; %d are worth taking", got, left, b.width, least)
		}
	})
}

// The first chunk is not timed; those that take half a microsecond are worth taking, and
// what takes no time says nothing.
func TestWhatIsWorthTakingGoesByTheChunkBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w stopwatch
		steps := []struct {
			n    int
			took time.Duration
			want int64
		}{
			{100, time.Hour, 1},
			{100, 250, 200},
			{100, 1000, 50},
			{100, time.Second, 0},
			{100, 0, 1},
			{1, 500, 1},
		}
		for _, s := range steps {
			time.Sleep(s.took)
			if got := w.worthTaking(s.n); got != s.want {
				t.Errorf("after %d elements in %v, %d are worth taking; want %d", s.n, s.took, got, s.want)
			}
		}
	})
}

// A stop that comes between take and the chunk is seen by the chunk.
func TestAChunkThatWasStoppedBeforeItBeganEndsThere(t *testing.T) {
	made := 0
	count := func(context.Context, int) (int, error) { made++; return 0, nil }
	b := &bulk[int, int]{fn: count, in: make([]int, 10), out: make([]int, 10)}
	b.stopAt.Store(3) // of which no runner was told
	r := &bulkRunner[int, int]{bulk: b}
	if err := r.makeChunk(t.Context(), 0, 10); err != nil || made != 3 || r.at != 3 {
		t.Errorf("%d elements, the next is %d, error %v; want 3, 3, nil", made, r.at, err)
	}
	r.endBefore(-1)
	if got := r.limit.Load(); got != -1 {
		t.Errorf("bound is %d after -1; want that", got)
	}
	r.endBefore(7)
	if got := r.limit.Load(); got != -1 {
		t.Errorf("bound is %d after -1 and 7; want -1", got)
	}
}

// What has ended is not told when Shutdown ends what runs.
func TestOnlyWhatRunsIsKeptForShutdown(t *testing.T) {
	double := func(_ context.Context, i int) (int, error) { return 2 * i, nil }
	for _, helps := range []bool{false, true} {
		e := &ThreadPoolExecutor{MaxWorkers: 2, WaitersHelp: helps}
		if _, err := MapSlice(t.Context(), e, double, make([]int, 100)); err != nil {
			t.Fatal(err)
		}
		f := Go(t.Context(), e, func(ctx context.Context) (int, error) { ctx.Done(); return 0, nil })
		if _, err := f.Result(t.Context()); err != nil {
			t.Fatal(err)
		}
		e.Close() // a call is forgotten after its waiters are awake
		e.tracker.mu.Lock()
		if n := len(e.tracker.stoppers); n != 0 {
			t.Errorf("WaitersHelp %v: %d are kept; want 0", helps, n)
		}
		e.tracker.mu.Unlock()
	}
}

// Whatever comes and goes, kill tells who is there, each once.
func TestKillTellsWhoIsThere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var in tracker
		told := map[int]int{}
		here := map[int]*stopper{}
		for i := range rapid.IntRange(0, 30).Draw(t, "steps") {
			if len(here) > 0 && rapid.Bool().Draw(t, "goes") {
				k := rapid.SampledFrom(slices.Sorted(maps.Keys(here))).Draw(t, "who")
				in.removeStopper(here[k])
				in.removeStopper(here[k]) // once more does nothing
				delete(here, k)
				continue
			}
			here[i] = &stopper{endable: cancelFunc(func(error) { told[i]++ })}
			in.addStopper(here[i])
		}
		in.stopAll()
		for i := range 30 {
			want := 0
			if here[i] != nil {
				want = 1
			}
			if told[i] != want {
				t.Fatalf("%d was told %d times; want %d", i, told[i], want)
			}
		}
	})
}

// What is behind an element that has failed is not taken again; what was left before it is,
// whichever was left last.
func TestWhatWasLeftBehindAFailureIsNotTaken(t *testing.T) {
	b := &bulk[int, int]{in: make([]int, 100), width: 1}
	b.next.Store(100)
	b.stopAt.Store(30)
	b.giveBack(10, 20)
	b.giveBack(30, 40)
	b.giveBack(50, 60)
	r := &bulkRunner[int, int]{bulk: b}
	if lo, hi := b.take(r, 1); lo != 10 || hi != 20 || r.lo.Load() != 10 {
		t.Errorf("take = %d to %d, where the runner is said to be at %d; want 10 to 20", lo, hi, r.lo.Load())
	}
	if lo, hi := b.take(r, 1); lo != hi {
		t.Errorf("take = %d to %d; want nothing", lo, hi)
	}
	if b.hasBack.Load() || b.isLeft() {
		t.Error("something is said to be left")
	}
}

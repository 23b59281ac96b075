package executor_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofutures/futures/executor"
)

// sharing returns the pools of goroutines on which maps share two workers.
func sharing() map[string]*executor.ThreadPoolExecutor {
	return map[string]*executor.ThreadPoolExecutor{
		"plain":       {MaxWorkers: 2},
		"WaitersHelp": {MaxWorkers: 2, WaitersHelp: true},
		"KeepPlaces":  {MaxWorkers: 2, KeepPlaces: true},
		"QueueLimit":  {MaxWorkers: 2, QueueLimit: 5},
	}
}

func eachSharing(t *testing.T, test func(t *testing.T, ex *executor.ThreadPoolExecutor)) {
	for name, ex := range sharing() {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				defer ex.Close()
				test(t, ex)
			})
		})
	}
}

const element = 2 * time.Millisecond

// sleepy takes as long as an element.
func sleepy(_ context.Context, i int) (int, error) {
	time.Sleep(element)
	return i, nil
}

// startMap begins a map of n slow elements and returns what waits for its end.
func startMap(t *testing.T, ex executor.Executor, n int) (wait func() (took time.Duration)) {
	began := time.Now()
	done := make(chan time.Duration)
	go func() {
		out, err := executor.MapSlice(t.Context(), ex, sleepy, numbers(n))
		if err != nil || !slices.Equal(out, numbers(n)) {
			t.Errorf("MapSlice of %d elements = %v, %v; want them all in order", n, out, err)
		}
		done <- time.Since(began)
	}()
	return func() time.Duration { return <-done }
}

func TestASmallCallBesideAMapStartsWithinTwoOfItsElements(t *testing.T) {
	eachSharing(t, func(t *testing.T, ex *executor.ThreadPoolExecutor) {
		wait := startMap(t, ex, 1000)
		for range 20 {
			time.Sleep(17 * time.Millisecond)
			began := time.Now()
			_, err := executor.Submit(t.Context(), ex, double, 1).Result(t.Context())
			require.NoError(t, err)
			if took := time.Since(began); took > 2*element {
				t.Errorf("an empty call took %v beside a map of elements of %v", took, element)
			}
		}
		if took, alone := wait(), 1000*element/2; took > alone+20*element {
			t.Errorf("the map took %v; alone it takes %v", took, alone)
		}
	})
}

func TestTwoMapsShareTheWorkers(t *testing.T) {
	eachSharing(t, func(t *testing.T, ex *executor.ThreadPoolExecutor) {
		waitLong := startMap(t, ex, 1000)
		time.Sleep(100 * time.Millisecond)
		waitShort := startMap(t, ex, 100)
		if took, half := waitShort(), 100*element; took > half+20*element {
			t.Errorf("a map took %v beside another; with half of the workers it takes %v", took, half)
		}
		if took, both := waitLong(), 1100*element/2; took > both+20*element {
			t.Errorf("the long map took %v; both take %v one after the other", took, both)
		}
	})
}

// As many maps as you like: each has its share, and none waits for the end of another.
func TestManyMapsShareTheWorkers(t *testing.T) {
	eachSharing(t, func(t *testing.T, ex *executor.ThreadPoolExecutor) {
		const maps = 7
		var waits []func() time.Duration
		for range maps {
			waits = append(waits, startMap(t, ex, 100))
		}
		whole := maps * 100 * element / 2
		for i, wait := range waits {
			if took := wait(); took < whole*8/10 || took > whole+20*element {
				t.Errorf("map %d of %d ended after %v; want all to end at about %v", i, maps, took, whole)
			}
		}
	})
}

// A stream of calls that never lets the queue be empty leaves a map half of the time.
func TestAMapGoesOnBesideAnEndlessStreamOfCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := &executor.ThreadPoolExecutor{MaxWorkers: 2}
		defer ex.Close()
		wait := startMap(t, ex, 200)
		ctx, cancel := context.WithCancel(t.Context())
		var stream sync.WaitGroup
		for range 30 {
			stream.Go(func() {
				for ctx.Err() == nil {
					_, _ = executor.Submit(ctx, ex, sleepy, 1).Result(ctx)
				}
			})
		}
		if took, alone := wait(), 200*element/2; took > 3*alone {
			t.Errorf("the map took %v beside a stream of calls; alone it takes %v", took, alone)
		}
		cancel()
		stream.Wait()
	})
}

// A runner that has let a long call go first does not hold up its map, whose other
// runners make what it has left; nor the end of the map's ctx, nor Shutdown.
func TestAMapDoesNotWaitForAPlaceThatItNeedsNoMore(t *testing.T) {
	eachSharing(t, func(t *testing.T, ex *executor.ThreadPoolExecutor) {
		wait := startMap(t, ex, 100)
		time.Sleep(10 * element)
		nap := func(ctx context.Context, d time.Duration) (int, error) { time.Sleep(d); return 0, nil }
		long := executor.Submit(t.Context(), ex, nap, time.Hour)
		if took, want := wait(), 90*element; took > want+10*element {
			t.Errorf("the map took %v; with one worker for most of it, it takes %v", took, want)
		}
		require.Equal(t, executor.Running, long.State())
	})
}

func TestAMapEndsWithItsCtxWhileAllItsRunnersAreAside(t *testing.T) {
	eachSharing(t, func(t *testing.T, ex *executor.ThreadPoolExecutor) {
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() {
			_, err := executor.MapSlice(ctx, ex, sleepy, numbers(100))
			ended <- err
		}()
		time.Sleep(10 * element)
		gate := newGate()
		for range 2 {
			executor.Submit(t.Context(), ex, gate.pass, 0)
		}
		time.Sleep(10 * element)
		if s := ex.Stats(); s.Queued != 0 {
			t.Errorf("Stats = %+v; want both calls to have begun", s)
		}
		cancel()
		began := time.Now()
		err := <-ended
		require.ErrorIs(t, err, context.Canceled)
		require.Zero(t, time.Since(began))
		gate.open()
	})
}

// What comes before a failed element is made, also what a runner has left that is aside.
func TestTheLowestFailureIsReportedWhateverStepsAside(t *testing.T) {
	eachSharing(t, func(t *testing.T, ex *executor.ThreadPoolExecutor) {
		failing := func(ctx context.Context, i int) (int, error) {
			time.Sleep(element)
			if i%10 == 8 {
				return 0, fmt.Errorf("element %d: %w", i, errBoom)
			}
			return i, nil
		}
		for range 3 {
			go executor.Submit(t.Context(), ex, sleepy, 1)
		}
		_, err := executor.MapSlice(t.Context(), ex, failing, numbers(100))
		require.EqualError(t, err, "element 8: boom")
	})
}

// A call that waits, and so has lent its place to a map, has it back soon.
func TestACallThatHasWaitedHasItsPlaceBackBesideAMap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := &executor.ThreadPoolExecutor{MaxWorkers: 1}
		defer ex.Close()
		elsewhere := &executor.ThreadPerTask{}
		outer := executor.Submit(t.Context(), ex, func(ctx context.Context, i int) (time.Duration, error) {
			_, err := executor.Submit(ctx, elsewhere, sleepy, i).Result(ctx)
			return time.Since(time.Time{}), err
		}, 1)
		began := time.Now()
		wait := startMap(t, ex, 1000)
		_, err := outer.Result(t.Context())
		require.NoError(t, err)
		require.LessOrEqual(t, time.Since(began), 3*element)
		wait()
	})
}

// Maps, calls, calls that wait for calls and maps in calls, all at once: each element and
// call is made once, no more than MaxWorkers functions run, and nothing hangs. The order
// is drawn, and the seed printed.
func TestMapsAndCallsNeverExceedThePlaces(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	for name, ex := range sharing() {
		t.Run(name, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 1))
			var running tally
			ctx, cancel := context.WithTimeout(t.Context(), longEnough)
			defer cancel()
			spin := func(ctx context.Context, i int) (int, error) {
				defer running.begin()()
				for end := time.Now().Add(time.Duration(i%7) * 10 * time.Microsecond); time.Now().Before(end); {
				}
				if i%50 == 0 {
					time.Sleep(100 * time.Microsecond)
				}
				return i, nil
			}
			nest := func(ctx context.Context, i int) (int, error) {
				out, err := executor.MapSlice(ctx, ex, spin, numbers(i%20))
				return len(out), err
			}
			var all sync.WaitGroup
			for range 40 {
				n, kind, delay := rnd.IntN(300), rnd.IntN(3), time.Duration(rnd.IntN(20_000))*time.Microsecond
				if ex.KeepPlaces && kind == 2 {
					kind = 1 // calls that wait for each other may wait for ever there
				}
				all.Go(func() {
					time.Sleep(delay)
					switch kind {
					case 0:
						out, err := executor.MapSlice(ctx, ex, spin, numbers(n))
						if err != nil || !slices.Equal(out, numbers(n)) {
							t.Errorf("MapSlice of %d: %v, error %v", n, out, err)
						}
					case 1:
						if got, err := executor.Submit(ctx, ex, spin, n).Result(ctx); got != n || err != nil {
							t.Errorf("Result = %d, %v; want %d, nil", got, err, n)
						}
					default:
						if got, err := executor.Submit(ctx, ex, nest, n).Result(ctx); got != n%20 || err != nil {
							t.Errorf("Result = %d, %v; want %d, nil", got, err, n%20)
						}
					}
				})
			}
			all.Wait()
			require.NoError(t, ex.Close())
			if most := running.most.Load(); most > 2 {
				t.Errorf("%d functions ran at once; want 2 at most", most)
			}
			if s := ex.Stats(); s.Queued+s.Running+s.Workers != 0 || s.Submitted != s.Succeeded+s.Failed+s.Cancelled {
				t.Errorf("Stats = %+v; want them to add up", s)
			}
		})
	}
}

// Shutdown ends a map whose runners are aside.
func TestShutdownEndsAMapWhoseRunnersAreAside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := &executor.ThreadPoolExecutor{MaxWorkers: 2}
		ended := make(chan error)
		go func() {
			_, err := executor.MapSlice(t.Context(), ex, sleepy, numbers(100))
			ended <- err
		}()
		time.Sleep(10 * element)
		heed := func(ctx context.Context, _ int) (int, error) { <-ctx.Done(); return 0, ctx.Err() }
		for range 2 {
			executor.Submit(t.Context(), ex, heed, 0)
		}
		time.Sleep(10 * element)
		over, cancel := context.WithCancel(t.Context())
		cancel()
		_ = ex.Shutdown(over)
		if err := <-ended; !errors.Is(err, executor.ErrCancelled) {
			t.Errorf("MapSlice returns %v; want ErrCancelled", err)
		}
		require.NoError(t, ex.Close())
	})
}

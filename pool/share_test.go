package pool_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gofutures/futures/executor"
	"github.com/gofutures/futures/pool"
)

const element = 2 * time.Millisecond

// sleepy takes as long as an element.
func sleepy(_ context.Context, i int) (int, error) {
	time.Sleep(element)
	return i, nil
}

// way is one of the functions of the package that make many elements.
type way struct {
	chunk int // the elements that an idle worker cannot take over
	all   func(ctx context.Context, p *pool.Pool, fn executor.Func[int, int], in []int) ([]int, error)
}

func mapping(opts ...pool.Option) way {
	return way{1, func(ctx context.Context, p *pool.Pool, fn executor.Func[int, int], in []int) ([]int, error) {
		return pool.Map(ctx, p, fn, in, opts...)
	}}
}

var ways = map[string]way{
	"Map":                         mapping(),
	"Map, chunks of 10":           mapping(pool.ChunkSize(10)),
	"CollectErrors":               mapping(pool.CollectErrors()),
	"CollectErrors, chunks of 1":  mapping(pool.CollectErrors(), pool.ChunkSize(1)),
	"CollectErrors, chunks of 10": mapping(pool.CollectErrors(), pool.ChunkSize(10)),
	"CollectErrors, chunks of 50": mapping(pool.CollectErrors(), pool.ChunkSize(50)),
	"MapAsync with CollectErrors": {1, func(ctx context.Context, p *pool.Pool, fn executor.Func[int, int], in []int) ([]int, error) {
		return pool.MapAsync(ctx, p, fn, in, pool.CollectErrors()).Result(ctx)
	}},
	"Imap": {1, func(ctx context.Context, p *pool.Pool, fn executor.Func[int, int], in []int) ([]int, error) {
		return executor.Collect(pool.Imap(ctx, p, fn, slices.Values(in)))
	}},
	"Imap, chunks of 10": {10, func(ctx context.Context, p *pool.Pool, fn executor.Func[int, int], in []int) ([]int, error) {
		return executor.Collect(pool.Imap(ctx, p, fn, slices.Values(in), pool.ChunkSize(10), pool.Buffer(40)))
	}},
	"ImapUnordered": {1, func(ctx context.Context, p *pool.Pool, fn executor.Func[int, int], in []int) ([]int, error) {
		out, err := executor.Collect(pool.ImapUnordered(ctx, p, fn, slices.Values(in)))
		slices.Sort(out)
		return out, err
	}},
}

// eachWay runs a test of each way, on pools of two goroutines.
func eachWay(t *testing.T, test func(t *testing.T, p *pool.Pool, w way)) {
	for name, w := range ways {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := pool.Threads(2)
				defer p.Close()
				test(t, p, w)
			})
			synctest.Test(t, func(t *testing.T) {
				ex := &executor.ThreadPoolExecutor{MaxWorkers: 2}
				defer ex.Close()
				test(t, pool.Over(pool.Over(ex)), w)
			})
		})
	}
}

// start begins n slow elements and returns what waits for their end.
func (w way) start(t *testing.T, p *pool.Pool, n int) (wait func() (took time.Duration)) {
	began := time.Now()
	done := make(chan time.Duration)
	go func() {
		in := slices.Collect(upTo(n))
		if out, err := w.all(t.Context(), p, sleepy, in); err != nil || !slices.Equal(out, in) {
			t.Errorf("%d elements = %v, %v; want them all in order", n, out, err)
		}
		done <- time.Since(began)
	}()
	return func() time.Duration { return <-done }
}

func TestASmallCallBesideAMapStartsWithinTwoOfItsElements(t *testing.T) {
	eachWay(t, func(t *testing.T, p *pool.Pool, w way) {
		wait := w.start(t, p, 1000)
		for range 20 {
			time.Sleep(17 * time.Millisecond)
			began := time.Now()
			if _, err := pool.Apply(t.Context(), p, double, 1); err != nil {
				t.Error(err)
			}
			if took, most := time.Since(began), 2*time.Duration(w.chunk)*element; took > most {
				t.Errorf("an empty call took %v beside a map; want at most %v, two elements or chunks", took, most)
			}
		}
		if took, alone := wait(), 1000*element/2; took > alone+20*element {
			t.Errorf("the map took %v; alone it takes %v", took, alone)
		}
	})
}

func TestTwoMapsShareTheWorkers(t *testing.T) {
	eachWay(t, func(t *testing.T, p *pool.Pool, w way) {
		waitLong := w.start(t, p, 1000)
		time.Sleep(100 * time.Millisecond)
		waitShort := w.start(t, p, 100)
		if took, half := waitShort(), 100*element; took > half+40*element {
			t.Errorf("a map took %v beside another; with half of the workers it takes %v", took, half)
		}
		if took, both := waitLong(), 1100*element/2; took > both+20*element {
			t.Errorf("the long map took %v; both take %v one after the other", took, both)
		}
	})
}

// One element that takes long does not keep the other worker from the rest.
func TestASlowElementDoesNotHoldUpTheOthersOfAMap(t *testing.T) {
	for name, opts := range map[string][]pool.Option{"Map": nil, "CollectErrors": {pool.CollectErrors()}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := pool.Threads(2)
				defer p.Close()
				uneven := func(ctx context.Context, i int) (int, error) {
					if i == 0 {
						time.Sleep(500 * element)
					}
					return sleepy(ctx, i)
				}
				began := time.Now()
				if _, err := pool.Map(t.Context(), p, uneven, slices.Collect(upTo(501)), append(opts, pool.ChunkSize(1))...); err != nil {
					t.Error(err)
				}
				if took, want := time.Since(began), 501*element; took > want {
					t.Errorf("it took %v; want %v: one worker makes the first, the other all behind it", took, want)
				}
			})
		})
	}
}

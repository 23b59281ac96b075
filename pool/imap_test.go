package pool_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/gofutures/futures/executor"
	"github.com/gofutures/futures/executor/executortest"
	"github.com/gofutures/futures/internal/testhelp"
	"github.com/gofutures/futures/pool"
)

// imaps are both.
func imaps[In, Out any](ctx context.Context, p *pool.Pool, fn executor.Func[In, Out], in iter.Seq[In], opts ...pool.Option) map[string]iter.Seq2[Out, error] {
	return map[string]iter.Seq2[Out, error]{
		"Imap":          pool.Imap(ctx, p, fn, in, opts...),
		"ImapUnordered": pool.ImapUnordered(ctx, p, fn, in, opts...),
	}
}

// Imap yields in order though the calls end in the opposite one; ImapUnordered as
// they end.
func TestImapIsInOrderAndImapUnorderedIsNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pool.Threads(5)
		defer p.Close()
		laterIsFaster := func(_ context.Context, i int) (int, error) {
			time.Sleep(time.Duration(5-i) * time.Second)
			return i, nil
		}
		want := map[string][]int{"Imap": {0, 1, 2, 3, 4}, "ImapUnordered": {4, 3, 2, 1, 0}}
		for name, seq := range imaps(t.Context(), p, laterIsFaster, upTo(5)) {
			if got, err := executor.Collect(seq); !slices.Equal(got, want[name]) || err != nil {
				t.Errorf("%s, whose later calls are faster = %v, %v; want %v, nil", name, got, err, want[name])
			}
		}
	})
}

// Nothing runs until it is ranged over; each range is a run of its own.
func TestImapIsLazyAndMayBeRangedOverTwice(t *testing.T) {
	each(t, 2, func(t *testing.T, p *pool.Pool) {
		var pulled atomic.Int64
		in := func(yield func(int) bool) {
			for i := range 5 {
				if pulled.Add(1); !yield(i) {
					return
				}
			}
		}
		for name, seq := range imaps(t.Context(), p, double, in) {
			if n := pulled.Load(); n != 0 {
				t.Errorf("%s has pulled %d items before it is ranged over; want 0", name, n)
			}
			for range 2 {
				got, err := executor.Collect(seq)
				slices.Sort(got)
				if !slices.Equal(got, []int{0, 2, 4, 6, 8}) || err != nil {
					t.Errorf("%s = %v, %v; want [0 2 4 6 8], nil", name, got, err)
				}
			}
			if n := pulled.Swap(0); n != 10 {
				t.Errorf("two ranges over %s have pulled %d items; want 10", name, n)
			}
		}
	})
}

// At most twice the pool's Workers, or Buffer, items are ahead of what was
// yielded, and at least a chunk.
func TestImapPullsAheadAsFarAsItsBuffer(t *testing.T) {
	for _, row := range []struct {
		name string
		opts []pool.Option
		want int
	}{
		{"the default for 3 workers", nil, 6},
		{"Buffer(1)", []pool.Option{pool.Buffer(1)}, 1},
		{"Buffer(10)", []pool.Option{pool.Buffer(10)}, 10},
		{"ChunkSize(2)", []pool.Option{pool.ChunkSize(2)}, 6},
		{"ChunkSize(4)", []pool.Option{pool.ChunkSize(4)}, 4},
		{"ChunkSize(3) and Buffer(12)", []pool.Option{pool.ChunkSize(3), pool.Buffer(12)}, 12},
		{"ChunkSize(50)", []pool.Option{pool.ChunkSize(50)}, 50},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := pool.Threads(3)
				defer p.Close()
				held := func(ctx context.Context, i int) (int, error) { <-ctx.Done(); return i, ctx.Err() }
				for _, imap := range []func(context.Context, *pool.Pool, executor.Func[int, int], iter.Seq[int], ...pool.Option) iter.Seq2[int, error]{
					pool.Imap[int, int], pool.ImapUnordered[int, int],
				} {
					ctx, cancel := context.WithCancel(t.Context())
					in, pulled := counting()
					over := make(chan struct{})
					go func() {
						defer close(over)
						for range imap(ctx, p, held, in, row.opts...) {
						}
					}()
					synctest.Wait()
					if got := int(pulled.Load()); got != row.want {
						t.Errorf("%s: %d items are ahead; want %d", row.name, got, row.want)
					}
					cancel()
					<-over
				}
			})
		})
	}
}

// The source may be infinite. While a result is looked at, no more is pulled.
func TestImapOfAnInfiniteSourceIsNeverFarAhead(t *testing.T) {
	each(t, 2, func(t *testing.T, p *pool.Pool) {
		for _, opts := range [][]pool.Option{nil, {pool.ChunkSize(2)}} {
			in, pulled := counting()
			n := 0
			for v, err := range pool.Imap(t.Context(), p, double, in, opts...) {
				if v != 2*n || err != nil {
					t.Fatalf("result %d = %v, %v; want %d, nil", n, v, err, 2*n)
				}
				if ahead := int(pulled.Load()) - n; ahead > 4 { // those of twice 2 workers, this one among them
					t.Fatalf("at result %d, %d items are pulled and not yielded; want at most 4", n, ahead)
				}
				if n++; n == 1000 {
					break
				}
			}
		}
	})
}

// Leaving the loop cancels what has not started, ends the ctx of what runs and
// waits until that has returned.
func TestLeavingImapLeavesNothingThatRuns(t *testing.T) {
	for _, unordered := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			p := pool.Threads(2)
			defer p.Close()
			var started, running, told atomic.Int64
			fn := func(ctx context.Context, i int) (int, error) {
				started.Add(1)
				defer running.Add(-1)
				running.Add(1)
				if i == 0 {
					time.Sleep(time.Second)
					return i, nil
				}
				<-ctx.Done()
				if errors.Is(context.Cause(ctx), executor.ErrCancelled) {
					told.Add(1)
				}
				time.Sleep(time.Second)
				return i, nil
			}
			in, _ := counting()
			seq := pool.Imap(t.Context(), p, fn, in, pool.Buffer(10))
			if unordered {
				seq = pool.ImapUnordered(t.Context(), p, fn, in, pool.Buffer(10))
			}
			begin := time.Now()
			for v, err := range seq {
				if v != 0 || err != nil {
					t.Errorf("the first result = %v, %v; want 0, nil", v, err)
				}
				synctest.Wait() // until both workers are in a call
				break
			}
			if took := time.Since(begin); running.Load() != 0 || started.Load() != 3 || told.Load() != 2 || took != 2*time.Second {
				t.Errorf("after break (unordered: %t), %v: %d run, %d have started, %d were told; want after 2s: 0, 3, 2",
					unordered, took, running.Load(), started.Load(), told.Load())
			}
		})
	}
}

// Leaving the loop kills a worker process whose call does not return.
func TestLeavingImapEndsWhatHangsInAProcess(t *testing.T) {
	executortest.NeedsProcesses(t)
	ex := &executor.ProcessPoolExecutor{MaxWorkers: 2, KillGrace: 10 * time.Millisecond}
	p := overProcesses(t, ex)
	log, gate := inDir(t, "log"), inDir(t, "gate")
	in := []item{{N: 0, Does: "hold", Gate: gate}, {N: 1, Does: "hang", Log: log}}
	for v, err := range pool.Imap(t.Context(), p, makeItem, thenTouch(t, in, gate)) {
		if v != 0 || err != nil {
			t.Errorf("the first result = %v, %v; want 0, nil", v, err)
		}
		awaitStarts(t, log, 1)
		break
	}
	if s := ex.Stats(); s.Running != 0 || s.Queued != 0 {
		t.Errorf("Stats after the loop = %+v; want nothing that runs or waits", s)
	}
	if v, err := pool.Apply(t.Context(), p, makeItem, item{N: 3}); v != 30 || err != nil {
		t.Errorf("Apply afterwards = %v, %v; want 30, nil", v, err)
	}
}

// thenTouch returns a source that opens the gate when all items are pulled: a
// result that is there sooner would be yielded before the next item is pulled.
func thenTouch(t *testing.T, in []item, gate string) iter.Seq[item] {
	return func(yield func(item) bool) {
		for _, in := range in {
			if !yield(in) {
				return
			}
		}
		touch(t, gate)
	}
}

// An item that fails, by any means, yields its error in its place, also within a
// chunk.
func TestImapGoesOnAfterAnItemThatFails(t *testing.T) {
	each(t, 2, func(t *testing.T, p *pool.Pool) {
		in := items("", "fail", "", "panic", "goexit", "", "boom", "")
		for _, size := range []int{1, 2, 3, 8, 50} {
			i := 0
			for v, err := range pool.Imap(t.Context(), p, makeItem, slices.Values(in), pool.ChunkSize(size)) {
				var ok bool
				switch in[i].Does {
				case "":
					ok = v == 10*i && err == nil
				case "fail":
					ok = err != nil && err.Error() == "item 1"
				case "panic":
					p, isPanic := errors.AsType[*executor.PanicError](err)
					ok = isPanic && p.Value == "item 3"
				case "goexit":
					ok = errors.Is(err, executor.ErrGoexit)
				case "boom":
					ok = errors.Is(err, errBoom)
				}
				if !ok {
					t.Errorf("in chunks of %d, the outcome of item %d, which is to %q = %v, %v", size, i, in[i].Does, v, err)
				}
				i++
			}
			if i != len(in) {
				t.Errorf("in chunks of %d: %d outcomes; want %d", size, i, len(in))
			}
		}
	})
}

// When ctx ends, the results that are there are yielded, then one error.
func TestEndOfCtxEndsImapAfterWhatIsThere(t *testing.T) {
	for _, unordered := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			p := pool.Threads(3)
			defer p.Close()
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			fn := func(ctx context.Context, i int) (int, error) {
				if i >= 2 {
					<-ctx.Done()
				}
				time.Sleep(time.Second) // so that what ctx has ended is not there
				return i, nil
			}
			seq := pool.Imap(ctx, p, fn, upTo(8), pool.Buffer(8))
			if unordered {
				seq = pool.ImapUnordered(ctx, p, fn, upTo(8), pool.Buffer(8))
			}
			var got []int
			var errs []error
			for v, err := range seq {
				if err != nil {
					errs = append(errs, err)
					continue
				}
				got = append(got, v)
			}
			slices.Sort(got)
			if !slices.Equal(got, []int{0, 1}) || len(errs) != 1 || !errors.Is(errs[0], context.DeadlineExceeded) {
				t.Errorf("Imap whose deadline passes (unordered: %t) has yielded %v and the errors %v; want [0 1] and one that matches DeadlineExceeded", unordered, got, errs)
			}
		})
	}
}

// A panic of the source arrives where the loop is.
func TestImapHandsOnThePanicOfItsSource(t *testing.T) {
	each(t, 2, func(t *testing.T, p *pool.Pool) {
		in := func(yield func(int) bool) { yield(1); panic(errBoom) }
		for name, seq := range imaps(t.Context(), p, double, in) {
			func() {
				defer func() {
					if v := recover(); v != errBoom {
						t.Errorf("the loop over %s, whose source panics, has recovered %v; want %v", name, v, errBoom)
					}
				}()
				for range seq {
				}
			}()
		}
		if v, err := pool.Apply(t.Context(), p, double, 3); v != 6 || err != nil {
			t.Errorf("Apply afterwards = %v, %v; want 6, nil", v, err)
		}
	})
}

// ends are both.
var ends = map[string]func(*pool.Pool) error{"Close": (*pool.Pool).Close, "Terminate": (*pool.Pool).Terminate}

// An Imap that is half read does not hold up Close, and its next steps have what
// is there, then an error that says so, and no more.
func TestHalfReadImapDoesNotHoldUpClose(t *testing.T) {
	for how, end := range ends {
		for name, opts := range map[string][]pool.Option{"one by one": nil, "in chunks": {pool.ChunkSize(2)}} {
			for _, which := range []string{"Imap", "ImapUnordered"} {
				t.Run(fmt.Sprintf("%s, %s %s", how, which, name), func(t *testing.T) {
					each(t, 2, func(t *testing.T, p *pool.Pool) {
						in, _ := counting()
						next, stop := iter.Pull2(imaps(t.Context(), p, double, in, opts...)[which])
						defer stop()
						if _, err, ok := next(); err != nil || !ok {
							t.Fatalf("the first result: %v, %t; want nil, true", err, ok)
						}
						if err := inTime(t, how, func() error { return end(p) }); err != nil {
							t.Errorf("%s while an Imap is half read = %v; want nil", how, err)
						}
						wantEndOfImap(t, how, next)
					})
				})
			}
		}
	}
}

// wantEndOfImap wants what an Imap of a closed pool yields.
func wantEndOfImap(t *testing.T, how string, next func() (int, error, bool)) {
	t.Helper()
	for n := 0; ; n++ {
		_, err, ok := next()
		if !ok {
			t.Errorf("after %s, Imap is over without an error", how)
			return
		}
		if err != nil {
			if isCancel := how == "Terminate" && errors.Is(err, executor.ErrCancelled); !errors.Is(err, executor.ErrShutdown) && !isCancel {
				t.Errorf("after %s, Imap has yielded %v; want an error that matches ErrShutdown", how, err)
			}
			break
		}
		if n > 10 {
			t.Fatalf("after %s, Imap goes on", how)
		}
	}
	if _, err, ok := next(); ok {
		t.Errorf("after %s and the error that says so, Imap has yielded %v; want its end", how, err)
	}
}

// What has not started when Terminate comes is one error, however much it is.
func TestTerminateEndsImapWithOneErrorForAllThatHasNotStarted(t *testing.T) {
	each(t, 1, func(t *testing.T, p *pool.Pool) {
		log, gate := inDir(t, "log"), inDir(t, "gate")
		in := []item{{N: 0, Does: "hold", Gate: gate, Log: log}}
		for i := 1; i < 20; i++ {
			in = append(in, item{N: i, Does: "heed", Log: log})
		}
		n := 0
		var last error
		for _, err := range pool.Imap(t.Context(), p, makeItem, thenTouch(t, in, gate), pool.Buffer(40)) {
			if n++; n == 1 {
				awaitStarts(t, log, 2)
				if err := inTime(t, "Terminate", p.Terminate); err != nil {
					t.Errorf("Terminate in the loop = %v; want nil", err)
				}
			}
			last = err
		}
		started := len(starts(t, log))
		if n > started+1 || !errors.Is(last, executor.ErrShutdown) && !errors.Is(last, context.Canceled) {
			t.Errorf("%d items have started, and Imap has yielded %d outcomes, the last %v; want one for each and one error", started, n, last)
		}
	})
}

// Close in the body of the loop, where the Imap is paused.
func TestCloseInsideTheLoopOverAnImap(t *testing.T) {
	for how, end := range ends {
		t.Run(how, func(t *testing.T) {
			each(t, 2, func(t *testing.T, p *pool.Pool) {
				in, _ := counting()
				n := 0
				var last error
				for _, err := range pool.Imap(t.Context(), p, double, in) {
					if last = err; n == 0 {
						if err := inTime(t, how, func() error { return end(p) }); err != nil {
							t.Errorf("%s in the loop = %v; want nil", how, err)
						}
					}
					n++
				}
				if isEnd := errors.Is(last, executor.ErrShutdown) || how == "Terminate" && errors.Is(last, executor.ErrCancelled); !isEnd || n > 6 {
					t.Errorf("after %s in the loop, %d outcomes, the last is %v; want at most 6, ErrShutdown", how, n, last)
				}
			})
		})
	}
}

// The Imap of a pool that is closed, and another range over one.
func TestImapOfAClosedPoolYieldsOneError(t *testing.T) {
	each(t, 2, func(t *testing.T, p *pool.Pool) {
		before := imaps(t.Context(), p, double, upTo(3))
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		for name, seq := range before {
			n := 0
			for v, err := range seq {
				if n++; !errors.Is(err, executor.ErrShutdown) {
					t.Errorf("%s of a closed pool has yielded %v, %v; want an error that matches ErrShutdown", name, v, err)
				}
			}
			if n != 1 {
				t.Errorf("%s of a closed pool has yielded %d outcomes; want 1", name, n)
			}
		}
	})
}

// A body of the loop that ends its goroutine leaves the loop too.
func TestImapThatEndsByGoexitLeavesThePoolAsItWas(t *testing.T) {
	each(t, 2, func(t *testing.T, p *pool.Pool) {
		over := make(chan struct{})
		go func() {
			defer close(over)
			in, _ := counting()
			for range pool.Imap(t.Context(), p, double, in) {
				runtime.Goexit()
			}
		}()
		testhelp.Receive(t, "the end of the goroutine", over)
		if v, err := pool.Apply(t.Context(), p, double, 3); v != 6 || err != nil {
			t.Errorf("Apply afterwards = %v, %v; want 6, nil", v, err)
		}
	})
}

// What a loop drops is not held while its body runs.
func TestImapDoesNotHoldWhatItHasYielded(t *testing.T) {
	type large struct{ _ [1 << 16]byte }
	makeLarge := func(context.Context, int) (*large, error) { return new(large), nil }
	p := pool.Threads(2)
	defer p.Close()
	for _, opts := range [][]pool.Option{nil, {pool.ChunkSize(3)}} {
		for v, err := range pool.Imap(t.Context(), p, makeLarge, slices.Values([]int{1, 2, 3, 4, 5, 6, 7}), opts...) {
			if err != nil {
				t.Fatal(err)
			}
			held := weak.Make(v)
			v = nil
			waitUntil(t, "the garbage collector takes the result", func() bool { runtime.GC(); return held.Value() == nil })
		}
	}
}

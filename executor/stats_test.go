package executor_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/gofutures/futures/executor"
)

// Each row has what is done to an executor, and its counters afterwards.
func TestEachCallIsCountedByItsEnd(t *testing.T) {
	nap := func(ctx context.Context, d time.Duration) func(opened) {
		return func(ex opened) { executor.Submit(ctx, ex, sleep, d) }
	}
	call := func(fn executor.Func[int, int]) func(opened) {
		return func(ex opened) { executor.Submit(context.Background(), ex, fn, 1) }
	}
	tests := []struct {
		name string
		do   func(opened)
		want executor.Stats
	}{
		{"a value", call(double), executor.Stats{Submitted: 1, Succeeded: 1}},
		{"an error", call(fail), executor.Stats{Submitted: 1, Failed: 1}},
		{"a panic", call(func(context.Context, int) (int, error) { panic(1) }), executor.Stats{Submitted: 1, Failed: 1}},
		{"Goexit", call(goexit), executor.Stats{Submitted: 1, Failed: 1}},
		{"a ctx that had ended", nap(ended(), 0), executor.Stats{}},
		{"a nil function", call(nil), executor.Stats{}},
		{"a nil ctx", nap(nil, 0), executor.Stats{}},
		{"a call in a call", func(ex opened) {
			executor.Go(context.Background(), ex, func(ctx context.Context) (int, error) {
				return executor.Submit(ctx, ex, fail, 1).Result(ctx)
			}).Result(context.Background())
		}, executor.Stats{Submitted: 2, Failed: 2}},
		{"three items of a Map", func(ex opened) {
			executor.Collect(executor.Map(context.Background(), ex, double, func(yield func(int) bool) { _ = yield(1) && yield(2) && yield(3) }))
		}, executor.Stats{Submitted: 3, Succeeded: 3}},
		{"a chunk of three", func(ex opened) {
			executor.Collect(executor.Map(context.Background(), ex, double, func(yield func(int) bool) { _ = yield(1) && yield(2) && yield(3) }, executor.ChunkSize(3)))
		}, executor.Stats{Submitted: 1, Succeeded: 1}},
		{"a MapSlice of one", func(ex opened) { executor.MapSlice(context.Background(), ex, double, firstFew(1)) }, executor.Stats{Submitted: 1, Succeeded: 1}},
		{"a MapSlice of none", func(ex opened) { executor.MapSlice(context.Background(), ex, double, nil) }, executor.Stats{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			each(t, func(t *testing.T, ex opened) {
				tt.do(ex)
				ex.Close()
				if got := ex.Stats(); got != tt.want {
					t.Errorf("Stats() = %+v; want %+v", got, tt.want)
				}
			})
		})
	}
}

func TestStatsSayWhatRunsAndWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		want := func(ex opened, want executor.Stats) {
			t.Helper()
			synctest.Wait()
			if got := ex.Stats(); got != want {
				t.Errorf("%T: Stats() = %+v; want %+v", ex, got, want)
			}
		}
		pool := &executor.ThreadPoolExecutor{MaxWorkers: 2}
		fs := make([]*executor.Future[time.Duration], 5)
		ctx, cancel := context.WithCancel(t.Context())
		for i := range fs {
			fs[i] = executor.Submit(ctx, pool, new(gauge).nap, time.Second)
		}
		want(pool, executor.Stats{Submitted: 5, Queued: 3, Running: 2, Workers: 2})
		fs[3].Cancel()
		fs[3].Cancel()
		want(pool, executor.Stats{Submitted: 5, Queued: 2, Running: 2, Cancelled: 1, Workers: 2})
		time.Sleep(time.Second)
		want(pool, executor.Stats{Submitted: 5, Running: 2, Succeeded: 2, Cancelled: 1, Workers: 2})
		fs[2].Cancel() // runs
		cancel()
		last := executor.Submit(t.Context(), pool, noop, 0)
		want(pool, executor.Stats{Submitted: 6, Queued: 1, Running: 2, Succeeded: 2, Cancelled: 1, Workers: 2})
		pool.Shutdown(ended())
		want(pool, executor.Stats{Submitted: 6, Running: 2, Succeeded: 2, Cancelled: 2, Workers: 2})
		if !last.Cancel() {
			t.Error("Cancel of a call that Shutdown cancelled = false; want true: it never starts")
		}
		pool.Close()
		want(pool, executor.Stats{Submitted: 6, Succeeded: 4, Cancelled: 2})

		tasks := new(executor.ThreadPerTask)
		for range 3 {
			executor.Submit(t.Context(), tasks, sleep, time.Second)
		}
		want(tasks, executor.Stats{Submitted: 3, Running: 3, Workers: 3})
		tasks.Close()
		want(tasks, executor.Stats{Submitted: 3, Succeeded: 3})

		line := new(executor.Sequential)
		go executor.Submit(t.Context(), line, sleep, time.Second)
		want(line, executor.Stats{Submitted: 1, Running: 1, Workers: 1})
		line.Close()
		want(line, executor.Stats{Submitted: 1, Succeeded: 1})
	})
}

// A call that waits, or has lent its place, runs.
func TestACallThatWaitsCountsAsRunning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := &executor.ThreadPoolExecutor{MaxWorkers: 1}
		defer ex.Close()
		executor.Go(t.Context(), ex, func(ctx context.Context) (time.Duration, error) {
			return executor.Submit(ctx, ex, sleep, time.Second).Result(ctx)
		})
		synctest.Wait()
		if s := ex.Stats(); s.Running != 2 || s.Queued != 0 {
			t.Errorf("Stats() = %+v; want 2 running: one waits, one sleeps", s)
		}
	})
}

// The counters add up whenever they are read, not only at the end, however many
// calls of a long queue were cancelled, and by whom.
func TestCountersAddUpAfterManyCancellations(t *testing.T) {
	ways := map[string]func(fs []*executor.Future[int], cancel func(), ex *executor.ThreadPoolExecutor){
		"Cancel": func(fs []*executor.Future[int], _ func(), _ *executor.ThreadPoolExecutor) {
			for _, f := range fs {
				f.Cancel()
			}
		},
		"Cancel of half": func(fs []*executor.Future[int], _ func(), _ *executor.ThreadPoolExecutor) {
			for _, f := range fs[:len(fs)/2] {
				f.Cancel()
			}
		},
		"Cancel from the end": func(fs []*executor.Future[int], _ func(), _ *executor.ThreadPoolExecutor) {
			for i := range fs {
				fs[len(fs)-1-i].Cancel()
			}
		},
		"Cancel from many goroutines": func(fs []*executor.Future[int], _ func(), _ *executor.ThreadPoolExecutor) {
			var all sync.WaitGroup
			for i := range 4 {
				all.Go(func() {
					for j := i; j < len(fs); j += 4 {
						fs[j].Cancel()
					}
				})
			}
			all.Wait()
		},
		"the end of their ctx": func(_ []*executor.Future[int], cancel func(), _ *executor.ThreadPoolExecutor) {
			cancel()
		},
		"both": func(fs []*executor.Future[int], cancel func(), _ *executor.ThreadPoolExecutor) {
			go cancel()
			for _, f := range fs {
				f.Cancel()
			}
		},
		"Shutdown": func(_ []*executor.Future[int], _ func(), ex *executor.ThreadPoolExecutor) {
			ex.Shutdown(ended())
		},
		"Shutdown and Cancel": func(fs []*executor.Future[int], _ func(), ex *executor.ThreadPoolExecutor) {
			go ex.Shutdown(ended())
			for _, f := range fs {
				f.Cancel()
			}
		},
	}
	for name, cancelAll := range ways {
		for _, n := range []int{1, 63, 64, 65, 100, 300, 1000} {
			t.Run(fmt.Sprintf("%s/%d calls", name, n), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					ex := &executor.ThreadPoolExecutor{MaxWorkers: 2}
					defer ex.Close()
					free := make(chan struct{})
					hold := func(context.Context) (int, error) { <-free; return 0, nil }
					for range 2 {
						executor.Go(context.Background(), ex, hold)
					}
					synctest.Wait()
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					fs := submitN(ctx, ex, nil, double, n)

					cancelAll(fs, cancel, ex)
					synctest.Wait()
					left := 0
					for _, f := range fs {
						if f.State() == executor.Pending {
							left++
						}
					}
					if s, want := ex.Stats(), (executor.Stats{Submitted: n + 2, Queued: left, Running: 2, Cancelled: n - left, Workers: 2}); s != want {
						t.Errorf("with all workers busy, Stats() = %+v; want %+v", s, want)
					}
					close(free)
					synctest.Wait()
					if s, want := ex.Stats(), (executor.Stats{Submitted: n + 2, Succeeded: left + 2, Cancelled: n - left, Workers: ex.Stats().Workers}); s != want {
						t.Errorf("at the end, Stats() = %+v; want %+v", s, want)
					}
				})
			})
		}
	}
}

// The same while workers take calls from the queue. A bounded queue of which
// many were cancelled still has room afterwards.
func TestCountersAddUpWhenCancelRacesWithTheWorkers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		workers := rapid.IntRange(1, 4).Draw(t, "workers")
		n := rapid.IntRange(1, 600).Draw(t, "calls")
		cancellers := rapid.IntRange(1, 3).Draw(t, "cancellers")
		step := rapid.SampledFrom([]int{1, 1, 2, 3}).Draw(t, "cancel every")
		yields := rapid.IntRange(0, 3).Draw(t, "yields")
		reverse := rapid.Bool().Draw(t, "from the end")

		ex := &executor.ThreadPoolExecutor{MaxWorkers: workers}
		defer ex.Close()
		free := make(chan struct{})
		for range workers {
			executor.Go(context.Background(), ex, func(context.Context) (int, error) { <-free; return 0, nil })
		}
		fs := submitN(context.Background(), ex, nil, func(context.Context, int) (int, error) {
			for range yields {
				runtime.Gosched()
			}
			return 0, nil
		}, n)
		var cancelled atomic.Int64
		var all sync.WaitGroup
		for range cancellers {
			all.Go(func() {
				for i := 0; i < n; i += step {
					at := i
					if reverse {
						at = n - 1 - i
					}
					if fs[at].State() == executor.Pending && fs[at].Cancel() {
						cancelled.Add(1)
					}
				}
			})
		}
		close(free)
		all.Wait()
		executor.Wait(context.Background(), executor.AllCompleted, fs...)
		ex.Close()
		count := 0
		for _, f := range fs {
			if f.State() == executor.Cancelled {
				count++
			}
		}
		if s, want := ex.Stats(), (executor.Stats{Submitted: n + workers, Succeeded: n + workers - count, Cancelled: count}); s != want {
			t.Fatalf("Stats() = %+v; want %+v", s, want)
		}
	})
}

// A counter that is wrong by one for good shows in a bounded queue: Submit
// would wait for ever, or not at all.
func TestABoundedQueueHasItsRoomAfterManyCancellations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit = 200
		ex := &executor.ThreadPoolExecutor{MaxWorkers: 1, QueueLimit: limit}
		defer ex.Close()
		for round := range 3 {
			free := make(chan struct{})
			executor.Go(t.Context(), ex, func(context.Context) (int, error) { <-free; return 0, nil })
			synctest.Wait()
			for i := range 5 {
				fs := submitN(t.Context(), ex, nil, double, limit)
				waits := make(chan *executor.Future[int])
				go func() { waits <- executor.Submit(t.Context(), ex, double, 1) }()
				synctest.Wait()
				select {
				case <-waits:
					t.Errorf("round %d.%d: Submit did not wait, with %d calls queued", round, i, limit)
				default:
				}
				for _, f := range fs {
					f.Cancel()
				}
				(<-waits).Cancel()
			}
			if s := ex.Stats(); s.Queued != 0 || s.Running != 1 {
				t.Errorf("round %d: Stats() = %+v; want 1 running, none queued", round, s)
			}
			close(free)
			synctest.Wait()
		}
	})
}

// The counters are read while calls leave the queue in batches.
func TestStatsAddUpAtEachMomentOfALongQueue(t *testing.T) {
	ex := &executor.ThreadPoolExecutor{MaxWorkers: 2}
	defer ex.Close()
	const n = 20_000
	fs := submitN(t.Context(), ex, nil, double, n)
	for looked := 0; ; looked++ {
		s := ex.Stats()
		if s.Running < 0 || s.Running > 2 || s.Queued < 0 || s.Submitted != n || s.Succeeded+s.Running+s.Queued != n {
			t.Fatalf("look %d: %+v; want at most 2 running, and %d in all", looked, s, n)
		}
		if s.Succeeded == n {
			break
		}
	}
	wantDone(t, fs)
}

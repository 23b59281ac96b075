package executor_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/gofutures/futures/executor"
)

// untilGone waits until isGone, which collections bring about.
func untilGone(t *testing.T, what string, isGone func() bool) {
	t.Helper()
	for patience := time.Now().Add(longEnough); !isGone(); runtime.GC() {
		if time.Now().After(patience) {
			t.Fatalf("%s is still there", what)
		}
		time.Sleep(time.Millisecond)
	}
}

// servesFourMegabytes returns the address of a server whose answer is longer than what
// is on the way at a time. A path "/endless" is answered without an end.
func servesFourMegabytes(t *testing.T) string {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		some := make([]byte, 64<<10)
		for i := 0; i < 64 || r.URL.Path == "/endless"; i++ {
			if _, err := w.Write(some); err != nil {
				return
			}
		}
	}))
	t.Cleanup(srv.Close)
	return srv.URL
}

func fetch(ctx context.Context, url string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	return http.DefaultClient.Do(req)
}

// What a call returns may need the ctx of the call: the body of an answer, here.
func TestWhatACallReturnsCanBeReadToItsEnd(t *testing.T) {
	url := servesFourMegabytes(t)
	defer http.DefaultClient.CloseIdleConnections()
	for name, submit := range map[string]func(context.Context, executor.Executor) (*http.Response, error){
		"Submit": func(ctx context.Context, ex executor.Executor) (*http.Response, error) {
			return executor.Submit(ctx, ex, fetch, url).Result(ctx)
		},
		"MapSlice": func(ctx context.Context, ex executor.Executor) (*http.Response, error) {
			all, err := executor.MapSlice(ctx, ex, fetch, []string{url, url})
			if err != nil {
				return nil, err
			}
			all[0].Body.Close()
			return all[1], nil
		},
		"Map in chunks": func(ctx context.Context, ex executor.Executor) (*http.Response, error) {
			all, err := executor.Collect(executor.Map(ctx, ex, fetch, func(yield func(string) bool) { yield(url) }, executor.ChunkSize(2)))
			if err != nil {
				return nil, err
			}
			return all[0], nil
		},
		"in a call": func(ctx context.Context, ex executor.Executor) (*http.Response, error) {
			return executor.Go(ctx, ex, func(ctx context.Context) (*http.Response, error) {
				return executor.Submit(ctx, ex, fetch, url).Result(ctx)
			}).Result(ctx)
		},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, ex opened) {
				for _, ctx := range []context.Context{context.Background(), t.Context()} {
					resp, err := submit(ctx, ex)
					if err != nil {
						t.Fatal(err)
					}
					runtime.GC() // nobody but the body has the ctx of the call
					n, err := io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
					if n != 4<<20 || err != nil {
						t.Errorf("read %d bytes, %v; want 4 MiB, nil", n, err)
					}
				}
			})
		})
	}
}

func TestWhatACallReturnsEndsWithTheCtxOfSubmit(t *testing.T) {
	url := servesFourMegabytes(t) + "/endless"
	defer http.DefaultClient.CloseIdleConnections()
	each(t, func(t *testing.T, ex opened) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		f := executor.Submit(ctx, ex, fetch, url)
		resp, err := f.Result(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		f.Cancel() // the call has ended: nothing comes of it
		ex.Shutdown(ended())
		if _, err := io.CopyN(io.Discard, resp.Body, 4<<20); err != nil {
			t.Errorf("after Cancel and Shutdown: %v; want no error", err)
		}
		cancel()
		if _, err := io.Copy(io.Discard, resp.Body); !errors.Is(err, context.Canceled) {
			t.Errorf("after the end of the ctx of Submit: %v; want context.Canceled", err)
		}
	})
}

// keptCtx is a ctx that a function has kept, and how it was used before that.
type keptCtx struct {
	ctx    context.Context
	cancel context.CancelFunc
}

var waysToKeep = map[string]func(context.Context) keptCtx{
	"as it is":     func(ctx context.Context) keptCtx { return keptCtx{ctx, func() {}} },
	"after Done":   func(ctx context.Context) keptCtx { ctx.Done(); return keptCtx{ctx, func() {}} },
	"after Err":    func(ctx context.Context) keptCtx { ctx.Err(); return keptCtx{ctx, func() {}} },
	"with a value": func(ctx context.Context) keptCtx { return keptCtx{context.WithValue(ctx, ctxKey("own"), 1), func() {}} },
	"derived":      func(ctx context.Context) keptCtx { ctx, cancel := context.WithCancel(ctx); return keptCtx{ctx, cancel} },
	"derived twice": func(ctx context.Context) keptCtx {
		ctx, cancel := context.WithTimeout(context.WithValue(ctx, ctxKey("own"), 1), 24*time.Hour)
		return keptCtx{ctx, cancel}
	},
}

// keepCtx makes a call that keeps its ctx, and returns its future too.
func keepCtx(ctx context.Context, ex executor.Executor, way func(context.Context) keptCtx) (*executor.Future[int], keptCtx) {
	var k keptCtx
	f := executor.Go(ctx, ex, func(ctx context.Context) (int, error) {
		k = way(ctx)
		return 0, nil
	})
	f.Result(context.Background())
	return f, k
}

// The ctx of a call that has ended is as that of Submit.
func TestTheCtxOfACallGoesOnAsThatOfSubmit(t *testing.T) {
	parents := map[string]struct {
		derive func(context.Context) (context.Context, context.CancelFunc)
		err    error // of the end, nil: there is none
		cause  error
	}{
		"Background": {func(context.Context) (context.Context, context.CancelFunc) { return context.Background(), func() {} }, nil, nil},
		"a value": {func(context.Context) (context.Context, context.CancelFunc) {
			return context.WithValue(context.Background(), ctxKey("k"), "v"), func() {}
		}, nil, nil},
		"a deadline": {func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(context.WithValue(ctx, ctxKey("k"), "v"), time.Hour)
		}, context.DeadlineExceeded, context.DeadlineExceeded},
		"a cause": {func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancelCause(ctx)
			time.AfterFunc(time.Hour, func() { cancel(errBoom) })
			return context.WithValue(ctx, ctxKey("k"), "v"), func() { cancel(nil) }
		}, context.Canceled, errBoom},
	}
	for parent, row := range parents {
		for name, way := range waysToKeep {
			t.Run(parent+", "+name, func(t *testing.T) {
				eachBubble(t, func(t *testing.T, ex opened) {
					ctx, cancel := row.derive(t.Context())
					defer cancel()
					f, k := keepCtx(ctx, ex, way)
					defer k.cancel()
					f.Cancel()
					ex.Shutdown(ended())
					synctest.Wait()
					if v := k.ctx.Value(ctxKey("k")); k.ctx.Err() != nil || v != ctx.Value(ctxKey("k")) {
						t.Errorf("after the call: Err = %v, Value = %v; want nil, %v", k.ctx.Err(), v, ctx.Value(ctxKey("k")))
					}
					select {
					case <-k.ctx.Done():
						t.Error("Done is closed after the call")
					default:
					}
					if row.err == nil {
						return
					}
					called := make(chan struct{})
					context.AfterFunc(k.ctx, func() { close(called) })
					<-ctx.Done()
					synctest.Wait()
					if err, cause := k.ctx.Err(), context.Cause(k.ctx); err != row.err || cause != row.cause {
						t.Errorf("after the end of the ctx of Submit: Err = %v, Cause = %v; want %v, %v", err, cause, row.err, row.cause)
					}
					<-k.ctx.Done()
					<-called
				})
			})
		}
	}
}

// A call that was asked to stop has been: its ctx does not come back to life.
func TestTheCtxOfACancelledCallStaysEnded(t *testing.T) {
	for name, end := range map[string]func(ex opened, f *executor.Future[int]){
		"Cancel":   func(_ opened, f *executor.Future[int]) { f.Cancel() },
		"Shutdown": func(ex opened, _ *executor.Future[int]) { ex.Shutdown(ended()) },
	} {
		t.Run(name, func(t *testing.T) {
			eachBubble(t, func(t *testing.T, ex opened) {
				if _, isSequential := ex.(*executor.Sequential); isSequential {
					return // its calls have ended when Submit returns
				}
				for _, ctx := range []context.Context{context.Background(), t.Context()} {
					var own context.Context
					hold := newGate()
					f := executor.Go(ctx, ex, func(ctx context.Context) (int, error) {
						own = ctx
						_, err := hold.pass(ctx, 0)
						return 0, errors.Join(err, ctx.Err())
					})
					synctest.Wait()
					if f.State() != executor.Running { // after Shutdown
						return
					}
					end(ex, f)
					hold.open()
					if _, err := f.Result(t.Context()); !errors.Is(err, context.Canceled) || own.Err() == nil {
						t.Errorf("Err = %v in the call, %v after it; want context.Canceled", err, own.Err())
					}
					<-own.Done()
				}
			})
		})
	}
}

// A wait finds the call that waits by its ctx. One that has ended does not wait, and
// the call around it may.
func TestTheCtxOfAnEndedCallIsThatOfTheCallAroundIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := &executor.ThreadPoolExecutor{MaxWorkers: 1}
		defer ex.Close()
		for _, ctx := range []context.Context{context.WithValue(t.Context(), ctxKey("k"), 1), context.Background()} {
			v, err := executor.Go(ctx, ex, func(outer context.Context) (int, error) {
				var inner context.Context
				executor.Go(outer, ex, func(ctx context.Context) (int, error) { inner = ctx; return 0, nil }).Result(outer)
				return executor.Submit(inner, ex, double, 21).Result(inner) // there is one worker: it must lend
			}).Result(t.Context())
			if v != 42 || err != nil {
				t.Errorf("%v, %v; want 42", v, err)
			}
		}
	})
}

// A call may outlive the one that has submitted it with its own ctx.
func TestACallGoesOnWhenTheOneThatSubmittedItHasEnded(t *testing.T) {
	eachBubble(t, func(t *testing.T, ex opened) {
		if _, isSequential := ex.(*executor.Sequential); isSequential {
			return
		}
		inner, err := executor.Go(t.Context(), ex, func(ctx context.Context) (*executor.Future[error], error) {
			return executor.Go(ctx, ex, func(ctx context.Context) (error, error) {
				select {
				case <-ctx.Done():
				case <-time.After(time.Hour):
				}
				return ctx.Err(), nil
			}), nil
		}).Result(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if ctxErr, err := inner.Result(t.Context()); ctxErr != nil || err != nil {
			t.Errorf("the inner call saw %v, %v; want nil", ctxErr, err)
		}
	})
}

// A ctx that lives on has nothing left of calls that are over, however their functions
// have used theirs.
func TestAMillionCallsLeaveNothingOnACtxThatLivesOn(t *testing.T) {
	const calls = 20_000
	for name, way := range waysToKeep {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, ex opened) {
				watched := newWatchedCtx()
				std, cancel := context.WithCancel(t.Context())
				defer cancel()
				run := func(ctx context.Context, n int) {
					for range n {
						_, k := keepCtx(ctx, ex, way)
						k.cancel()
					}
				}
				run(watched, calls/20)
				untilGone(t, "a registration", func() bool { return watched.registered() == 0 })

				run(std, 100)
				untilGone(t, "a goroutine", func() bool { return runtime.NumGoroutine() < 100 })
				before, goroutines := heap(), runtime.NumGoroutine()
				run(std, calls)
				untilGone(t, "the ctx of some call", func() bool {
					return heap()-before < calls*60 && // the map of a ctx keeps its size
						runtime.NumGoroutine() <= goroutines+8
				})
			})
		})
	}
}

// A finished future that is kept keeps neither the ctx of Submit nor its values.
func TestAFinishedFutureDoesNotHoldTheCtxOfSubmit(t *testing.T) {
	ends := map[string]func(ctx context.Context, ex opened) *executor.Future[int]{
		"returned": func(ctx context.Context, ex opened) *executor.Future[int] {
			return executor.Submit(ctx, ex, double, 1)
		},
		"after Done": func(ctx context.Context, ex opened) *executor.Future[int] {
			f, k := keepCtx(ctx, ex, waysToKeep["derived"])
			k.cancel()
			return f
		},
		"failed": func(ctx context.Context, ex opened) *executor.Future[int] {
			return executor.Submit(ctx, ex, fail, 1)
		},
		"panicked": func(ctx context.Context, ex opened) *executor.Future[int] {
			f := executor.Go(ctx, ex, func(context.Context) (int, error) { panic("kaboom") })
			f.Result(context.Background())
			return f
		},
		"too late": func(ctx context.Context, ex opened) *executor.Future[int] {
			ctx, cancel := context.WithCancelCause(ctx)
			cancel(errBoom)
			return executor.Submit(ctx, ex, double, 1)
		},
		"refused": func(ctx context.Context, ex opened) *executor.Future[int] {
			ex.Close()
			return executor.Submit(ctx, ex, double, 1)
		},
		"asked to stop": func(ctx context.Context, ex opened) *executor.Future[int] {
			f := executor.Go(ctx, ex, func(ctx context.Context) (int, error) { return 0, nil })
			f.Cancel()
			return f
		},
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, ex opened) {
				f, value := endWithValue(ex, end)
				untilGone(t, "a value of the ctx", func() bool { return value.Value() == nil })
				if _, err := f.Result(t.Context()); name == "too late" && !errors.Is(err, errBoom) {
					t.Errorf("Result = %v; want the cause, %v", err, errBoom)
				}
			})
		})
	}
}

//go:noinline
func endWithValue(ex opened, end func(context.Context, opened) *executor.Future[int]) (*executor.Future[int], weak.Pointer[big]) {
	value := new(big)
	f := end(context.WithValue(context.Background(), ctxKey("k"), value), ex)
	f.Result(context.Background())
	return f, weak.Make(value)
}

// The same for those that were cancelled in the queue.
func TestAFutureThatWasCancelledInTheQueueDoesNotHoldTheCtxOfSubmit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := &executor.ThreadPoolExecutor{MaxWorkers: 1}
		defer ex.Close()
		hold := newGate()
		executor.Submit(context.Background(), ex, hold.pass, 1)
		synctest.Wait()
		for name, end := range map[string]func(*executor.Future[int], context.CancelFunc){
			"Cancel": func(f *executor.Future[int], _ context.CancelFunc) { f.Cancel() },
			"ctx":    func(_ *executor.Future[int], cancel context.CancelFunc) { cancel() },
		} {
			f, value := endWithValue(ex, func(ctx context.Context, ex opened) *executor.Future[int] {
				ctx, cancel := context.WithCancel(ctx)
				defer cancel()
				f := executor.Submit(ctx, ex, double, 1)
				end(f, cancel)
				return f
			})
			time.Sleep(time.Second)
			if !collected(value) {
				t.Errorf("%s: the value of the ctx is held", name)
			}
			if _, err := f.Result(t.Context()); !errors.Is(err, executor.ErrCancelled) {
				t.Errorf("%s: Result = %v; want ErrCancelled", name, err)
			}
		}
		hold.open()
	})
}

// A ctx that is kept, and asked by many for the first time while the call ends, has one
// Done.
func TestTheCtxOfACallHasOneDoneWhoeverAsksFirst(t *testing.T) {
	each(t, func(t *testing.T, ex opened) {
		for range 200 {
			ctx, cancel := context.WithCancel(t.Context())
			var own context.Context
			var seen [4]<-chan struct{}
			var asked sync.WaitGroup
			executor.Go(ctx, ex, func(ctx context.Context) (int, error) {
				own = ctx
				for i := range seen {
					asked.Go(func() { seen[i] = ctx.Done() })
				}
				return 0, nil
			}).Result(t.Context())
			asked.Wait()
			for _, done := range seen {
				if done != own.Done() {
					t.Fatal("Done returned two channels")
				}
			}
			cancel()
			<-own.Done()
		}
	})
}

// inARow makes one call after another with ctx on the only worker of a pool, and then
// goes on as long as last does. It returns when all but last have ended.
func inARow(t *testing.T, ctx context.Context, n int, call func(i int, ctx context.Context), last executor.Func[int, int]) {
	t.Helper()
	ex := &executor.ThreadPoolExecutor{MaxWorkers: 1}
	t.Cleanup(func() { ex.Close() })
	first := newGate()
	executor.Submit(context.Background(), ex, first.pass, 0)
	calls := make([]*executor.Future[int], n)
	for i := range calls {
		calls[i] = executor.Go(ctx, ex, func(ctx context.Context) (int, error) { call(i, ctx); return 0, nil })
	}
	executor.Submit(context.Background(), ex, last, 0)
	first.open()
	if _, err := executor.Gather(t.Context(), calls...); err != nil {
		t.Fatal(err)
	}
}

func nothing(context.Context, int) (int, error) { return 0, nil }

// A call with a ctx of its own costs one allocation, as one with Background does: many
// share that of their ctxs.
func TestACallWithACtxIsOneAllocation(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	const calls = 20_000
	ex := &executor.ThreadPoolExecutor{}
	defer ex.Close()
	futures := make([]*executor.Future[int], calls)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for i := range futures {
		futures[i] = executor.Submit(ctx, ex, double, i)
	}
	for _, f := range futures {
		f.Result(t.Context())
	}
	runtime.ReadMemStats(&after)
	if each := float64(after.Mallocs-before.Mallocs) / calls; each > 1.4 {
		t.Errorf("%.2f allocations for a call; want 1.1", each)
	}
}

func TestAWorkerThatGoesOnHoldsNoCtxOfAnotherSubmit(t *testing.T) {
	ends := newGate()
	defer ends.open()
	value := func() weak.Pointer[big] {
		value := new(big)
		inARow(t, context.WithValue(context.Background(), ctxKey("k"), value), 8, func(int, context.Context) {}, ends.pass)
		return weak.Make(value)
	}()
	untilGone(t, "a value of the ctx", func() bool { return value.Value() == nil })
}

// Ctxs of calls that follow each other share a block. One that is kept, and that nobody
// has asked for Done, keeps what one of its neighbours has registered at most, also if
// many have.
func TestAKeptCtxKeepsOneRegistrationOfOthersAtMost(t *testing.T) {
	watched := newWatchedCtx()
	var kept context.Context
	inARow(t, watched, 200, func(i int, ctx context.Context) {
		switch {
		case i == 40:
			kept = ctx
		case i > 40:
			ctx.Done()
		}
	}, nothing)
	untilGone(t, "a second registration", func() bool { return watched.registered() <= 1 })
	runtime.KeepAlive(kept)
	kept = nil
	untilGone(t, "a registration", func() bool { return watched.registered() == 0 })
}

// A value of the ctx of Submit may be what keeps the ctx of the call: nothing else then
// holds the two.
func TestACtxInAValueOfItselfIsCollected(t *testing.T) {
	for name, way := range waysToKeep {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, ex opened) {
				value := func() weak.Pointer[keptCtx] {
					value := new(keptCtx)
					ctx, cancel := context.WithCancel(context.WithValue(context.Background(), ctxKey("k"), value))
					_ = cancel // the end of the ctx must not be what frees it
					_, *value = keepCtx(ctx, ex, way)
					value.cancel() // its timer holds a ctx with a deadline
					return weak.Make(value)
				}()
				untilGone(t, "a value of the ctx", func() bool { return value.Value() == nil })
			})
		})
	}
}

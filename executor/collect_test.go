package executor_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofutures/futures/executor"
)

// outcomesOf returns what came of n elements of a MapSlice that collects errors.
func outcomesOf[Out any](t *testing.T, n int, out []Out, err error) (values []Out, errs []error) {
	t.Helper()
	errs = make([]error, n)
	var failed executor.ItemErrors
	if err != nil && !errors.As(err, &failed) {
		t.Fatalf("MapSlice = %v; want ItemErrors", err)
	}
	if err != nil && len(failed) == 0 {
		t.Errorf("MapSlice returns an error of no element")
	}
	last := -1
	for _, item := range failed {
		if item.Index <= last || item.Index >= n {
			t.Fatalf("the error of element %d comes after that of %d, of %d; want each once, in order", item.Index, last, n)
		}
		last = item.Index
		errs[item.Index] = item.Err
	}
	if len(out) != n {
		t.Fatalf("%d results; want %d", len(out), n)
	}
	return out, errs
}

// However elements fail, in whatever chunks, each has the outcome that a call of its own
// would have, and is made once.
func TestMapSliceThatCollectsErrorsMakesEachElement(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	pools := map[string]executor.Executor{"processes": newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 2}), "pool over goroutines": over{new(executor.ThreadPerTask)}}
	for name, ex := range executors() {
		defer ex.Close()
		pools[name] = ex
	}
	for name, ex := range pools {
		t.Run(name, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 2))
			for _, size := range []int{0, 1, 2, 3, 7, 100} {
				hows := []string{"", "", "fail", "panic"}
				if name != "WaitersHelp" { // there it would end the goroutine of this test
					hows = append(hows, "goexit")
				}
				if name == "processes" && size != 0 {
					hows = append(hows, "exit")
				}
				in := make([]mapItem, 1+rnd.IntN(30))
				log := inDir(t, "log")
				for i := range in {
					in[i] = mapItem{N: i, Log: log, Does: hows[rnd.IntN(len(hows))]}
				}
				opts := []executor.MapOption{executor.CollectErrors()}
				if size > 0 {
					opts = append(opts, executor.ChunkSize(size))
				}
				out, err := executor.MapSlice(t.Context(), ex, mapMake, in, opts...)
				values, errs := outcomesOf(t, len(in), out, err)
				for i, m := range in {
					want := map[string]string{
						"": fmt.Sprint(10 * i), "fail": fmt.Sprintf("failed: item %d: %v", i, errRemote), "panic": fmt.Sprint("panic: item ", i),
						"goexit": "goexit", "exit": fmt.Sprint("died of ", 40+i),
					}[m.Does]
					if got := saw(values[i], errs[i]); got != want {
						t.Errorf("chunks of %d: element %d of %d, which is to %q: %s; want %s", size, i, len(in), m.Does, got, want)
					}
					if m.Does != "" && values[i] != 0 {
						t.Errorf("chunks of %d: element %d, which is to %q, has the value %d beside its error; want 0", size, i, m.Does, values[i])
					}
				}
				for id, pids := range startsIn(t, log) {
					if len(pids) != 1 {
						t.Errorf("chunks of %d: element %d started %d times", size, id, len(pids))
					}
				}
			}
		})
	}
}

// over hands calls on to another executor.
type over struct{ executor.Executor }

func TestElementsThatCannotBeEncodedAreTheOnlyOnesThatFail(t *testing.T) {
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 2})
	for _, bad := range [][]int{{0}, {3}, {7}, {0, 1, 2}, {3, 4, 6}, {0, 1, 2, 3, 4, 5, 6, 7}} {
		for _, size := range []int{0, 1, 4, 8} {
			in := make([]*ring, 8)
			for i := range in {
				if in[i] = (&ring{N: i}); slices.Contains(bad, i) {
					in[i] = newRing(i)
				}
			}
			opts := []executor.MapOption{executor.CollectErrors()}
			if size > 0 {
				opts = append(opts, executor.ChunkSize(size))
			}
			out, err := executor.MapSlice(t.Context(), ex, regCycle, in, opts...)
			values, errs := outcomesOf(t, len(in), out, err)
			for i := range in {
				if isBad := slices.Contains(bad, i); isBad != (errs[i] != nil && strings.Contains(errs[i].Error(), "cycle")) || !isBad && (errs[i] != nil || values[i].N != i) {
					t.Errorf("elements %v have a cycle, chunks of %d: element %d has %v, %v", bad, size, i, values[i], errs[i])
				}
			}
		}
	}
}

// Elements that panic are no calls within calls: the stack of the last is as long as that
// of the first.
func TestManyElementsThatPanicDoNotNest(t *testing.T) {
	ex := &executor.ThreadPoolExecutor{MaxWorkers: 1}
	defer ex.Close()
	const n = 2000
	out, err := executor.MapSlice(t.Context(), ex, func(context.Context, int) (int, error) { panic("each") }, numbers(n), executor.CollectErrors())
	_, errs := outcomesOf(t, n, out, err)
	length := func(i int) int {
		p, isPanic := errs[i].(*executor.PanicError)
		if !isPanic {
			t.Fatalf("element %d has the error %v; want a *PanicError", i, errs[i])
		}
		return bytes.Count(p.Stack, []byte("\n"))
	}
	if first, last := length(0), length(n-1); last > first+2 {
		t.Errorf("the stack of element 0 has %d lines, that of element %d has %d", first, n-1, last)
	}
}

// submissions counts the calls that are submitted.
type submissions struct {
	executor.Executor
	calls int
}

func (c *submissions) Execute(ctx context.Context, call *executor.Call) {
	c.calls++
	c.Executor.Execute(ctx, call)
}

// A function that is not registered, or an executor that takes no calls, is no error of an
// element.
func TestWhatIsNoErrorOfAnElementIsNotCollected(t *testing.T) {
	processes := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1})
	closed := &executor.ThreadPoolExecutor{MaxWorkers: 1}
	closed.Close()
	for _, row := range []struct {
		name string
		ex   executor.Executor
		ctx  context.Context
		want error
	}{
		{"a function that is not registered", processes, t.Context(), executor.ErrNotRegistered},
		{"an executor that was closed", closed, t.Context(), executor.ErrShutdown},
		{"an ended ctx", processes, ended(), context.Canceled},
		{"an ended ctx on goroutines", new(executor.ThreadPerTask), ended(), context.Canceled},
	} {
		f := func(_ context.Context, i int) (int, error) { return i, nil }
		ex := &submissions{Executor: row.ex}
		out, err := executor.MapSlice(row.ctx, ex, f, numbers(100), executor.CollectErrors(), executor.ChunkSize(1))
		if most := 2 * max(1, row.ex.Workers()); ex.calls > most && row.ex.Workers() > 0 {
			t.Errorf("%s: %d calls were submitted; want at most %d", row.name, ex.calls, most)
		}
		var items executor.ItemErrors
		if out != nil || !errors.Is(err, row.want) || errors.As(err, &items) {
			t.Errorf("%s: MapSlice = %v, %v; want nil and one error that matches %v", row.name, out, err, row.want)
		}
	}
	if _, err := endOf(t, executor.Submit(t.Context(), processes, mapMake, mapItem{})); err != nil {
		t.Errorf("a call afterwards: %v", err)
	}
}

// The end of ctx, and Shutdown, end a map that collects errors: no element starts
// afterwards.
func TestNoElementStartsWhenAMapThatCollectsErrorsWasEnded(t *testing.T) {
	for name, end := range map[string]func(*executor.ThreadPoolExecutor, context.CancelFunc){
		"ctx":      func(_ *executor.ThreadPoolExecutor, cancel context.CancelFunc) { cancel() },
		"Shutdown": func(ex *executor.ThreadPoolExecutor, _ context.CancelFunc) { go ex.Shutdown(ended()) },
	} {
		for _, how := range []string{"fail", "panic", "goexit"} {
			t.Run(name+", "+how, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					ex := &executor.ThreadPoolExecutor{MaxWorkers: 2}
					defer ex.Close()
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					started := make(chan int, 100)
					heed := func(ctx context.Context, i int) (int, error) {
						started <- i
						<-ctx.Done()
						return mapMake(ctx, mapItem{N: i, Does: how})
					}
					time.AfterFunc(time.Second, func() { end(ex, cancel) })
					out, err := executor.MapSlice(ctx, ex, heed, numbers(100), executor.CollectErrors(), executor.ChunkSize(10))
					want := map[string]error{"ctx": context.Canceled, "Shutdown": executor.ErrCancelled}[name]
					var items executor.ItemErrors
					if out != nil || !errors.Is(err, want) || errors.As(err, &items) {
						t.Errorf("MapSlice = %v, %v; want nil and one error that matches %v", out, err, want)
					}
					require.Len(t, started, 2)
				})
			})
		}
	}
}

// If what the elements return is the end of ctx, it is said once, though all have begun.
func TestTheEndOfCtxIsNoErrorOfElements(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := &executor.ThreadPoolExecutor{MaxWorkers: 2}
		defer ex.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		heed := func(ctx context.Context, _ int) (int, error) { <-ctx.Done(); return 0, ctx.Err() }
		out, err := executor.MapSlice(ctx, ex, heed, numbers(2), executor.CollectErrors())
		var items executor.ItemErrors
		if out != nil || !errors.Is(err, context.DeadlineExceeded) || errors.As(err, &items) {
			t.Errorf("MapSlice = %v, %v; want nil and one error that matches DeadlineExceeded", out, err)
		}
	})
}

// A runner that is aside when its last element has panicked goes without a place, too.
func TestAMapOfPanicsDoesNotWaitForAPlaceThatItNeedsNoMore(t *testing.T) {
	eachSharing(t, func(t *testing.T, ex *executor.ThreadPoolExecutor) {
		const n = 100
		time.AfterFunc(10*element+element/2, func() {
			nap := func(ctx context.Context, d time.Duration) (int, error) { time.Sleep(d); return 0, nil }
			executor.Submit(context.Background(), ex, nap, time.Hour)
		})
		began := time.Now()
		out, err := executor.MapSlice(t.Context(), ex, func(ctx context.Context, i int) (int, error) {
			_, _ = sleepy(ctx, i)
			panic(i)
		}, numbers(n), executor.CollectErrors())
		_, errs := outcomesOf(t, n, out, err)
		for i, err := range errs {
			if p, isPanic := err.(*executor.PanicError); !isPanic || p.Value != i {
				t.Fatalf("element %d: %v; want its panic", i, err)
			}
		}
		if took, want := time.Since(began), 90*element; took > want+10*element {
			t.Errorf("the map took %v; with one worker for most of it, it takes %v", took, want)
		}
	})
}

// short makes calls as another process does, and loses all that they have returned.
type short struct{}

func (short) Workers() int { return 2 }

func (short) Execute(ctx context.Context, c *executor.Call) {
	r, err := c.Encode()
	if err != nil || !c.Start() {
		c.Complete(executor.Reply{}, err)
		return
	}
	reply, err := executor.Invoke(ctx, r)
	c.Complete(executor.Reply{Kind: reply.Kind}, err)
}

func TestElementsOfWhichNothingCameBackHaveFailed(t *testing.T) {
	out, err := executor.MapSlice(t.Context(), short{}, mapMake, itemsOf("", "fail", "", "", ""), executor.CollectErrors(), executor.ChunkSize(3))
	_, errs := outcomesOf(t, 5, out, err)
	for i, err := range errs {
		if err == nil || !strings.Contains(err.Error(), "malformed") {
			t.Errorf("element %d has the error %v; want one that says that the result is malformed", i, err)
		}
	}
}

// depth is how many functions are under way on this goroutine.
func depth() int { return runtime.Callers(0, make([]uintptr, 1000)) }

// A panic has ended before the next item is made: else the stack, which a PanicError has a
// copy of, would grow with each, and 10,000 of them take a minute.
func TestPanicsOfAMapDoNotPileUp(t *testing.T) {
	var depths []int
	deep := func(context.Context, int) (int, error) {
		depths = append(depths, depth())
		panic("on purpose")
	}
	for name, run := range map[string]func(ex executor.Executor) error{
		"Map in chunks": func(ex executor.Executor) error {
			return lastError(executor.Map(t.Context(), ex, deep, slices.Values(numbers(20)), executor.ChunkSize(20)))
		},
		"MapSlice": func(ex executor.Executor) error {
			_, err := executor.MapSlice(t.Context(), ex, deep, numbers(20), executor.CollectErrors(), executor.ChunkSize(20))
			return err
		},
	} {
		depths = nil
		ex := &executor.ThreadPoolExecutor{MaxWorkers: 1}
		err := run(ex)
		ex.Close()
		if panicked := new(executor.PanicError); !errors.As(err, &panicked) || len(depths) != 20 {
			t.Fatalf("%s: %d items were made, and the last error is %v; want 20, and a panic", name, len(depths), err)
		}
		if slices.Min(depths) != slices.Max(depths) {
			t.Errorf("%s: the items found %v functions under way; want as many each time", name, depths)
		}
	}
}

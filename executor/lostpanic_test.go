package executor_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gofutures/futures/executor"
	"github.com/gofutures/futures/internal/testhelp"
)

func keepLog(t *testing.T) *testhelp.Log {
	settled(t) // of what tests before have lost
	return testhelp.KeepLog(t)
}

func kaboom(context.Context) (int, error) { panic("kaboom") }

// lose makes a call of fn and drops its future, after look.
//
//go:noinline
func lose(ex executor.Executor, fn func(context.Context) (int, error), look func(*executor.Future[int])) {
	f := executor.Go(context.Background(), ex, fn)
	look(f)
	<-f.Done()
}

// settled waits until what is collected now has been reported.
func settled(t *testing.T) {
	t.Helper()
	testhelp.Collect(t)
	time.Sleep(5 * time.Millisecond) // a report is made by a goroutine of its own, which nobody can wait for
}

func TestAPanicThatNobodyAsksForIsLoggedOnce(t *testing.T) {
	each(t, func(t *testing.T, ex opened) {
		l := keepLog(t)
		lose(ex, kaboom, func(*executor.Future[int]) {})
		untilGone(t, "the future", func() bool { return len(l.LostPanics()) > 0 })
		settled(t)
		lines := l.LostPanics()
		if len(lines) != 1 || !strings.Contains(lines[0], "level=ERROR") || !strings.Contains(lines[0], "panic=kaboom") || !strings.Contains(lines[0], "executor_test.kaboom(") {
			t.Errorf("logged %q; want one error with the value and the stack", lines)
		}
	})
}

func TestAPanicThatSomebodyAsksForIsNotLogged(t *testing.T) {
	ctx := context.Background()
	for name, look := range map[string]func(*executor.Future[int]){
		"Result":      func(f *executor.Future[int]) { f.Result(ctx) },
		"OnDone":      func(f *executor.Future[int]) { f.OnDone(func(*executor.Future[int]) {}) },
		"OnDone late": func(f *executor.Future[int]) { <-f.Done(); f.OnDone(func(*executor.Future[int]) {}) },
		"Wait":        func(f *executor.Future[int]) { executor.Wait(ctx, executor.AllCompleted, f) },
		"Wait late":   func(f *executor.Future[int]) { <-f.Done(); executor.Wait(ctx, executor.AllCompleted, f) },
		"AsCompleted": func(f *executor.Future[int]) {
			for range executor.AsCompleted(ctx, f) {
			}
		},
		"Gather": func(f *executor.Future[int]) { executor.Gather(ctx, f) },
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, ex opened) {
				l := keepLog(t)
				lose(ex, kaboom, look)
				settled(t)
				if lines := l.LostPanics(); len(lines) != 0 {
					t.Errorf("logged %q; want nothing", lines)
				}
			})
		})
	}
}

func TestWhatIsNoLostPanicIsNotLogged(t *testing.T) {
	wrapped := &executor.PanicError{Value: "of another call"}
	for name, fn := range map[string]func(context.Context) (int, error){
		"an error":         func(context.Context) (int, error) { return 0, errors.New("lost") },
		"a returned panic": func(context.Context) (int, error) { return 0, wrapped },
		"Goexit":           func(context.Context) (int, error) { runtime.Goexit(); return 0, nil },
	} {
		t.Run(name, func(t *testing.T) {
			ex := &executor.ThreadPerTask{}
			defer ex.Close()
			l := keepLog(t)
			lose(ex, fn, func(*executor.Future[int]) {})
			settled(t)
			if lines := l.LostPanics(); len(lines) != 0 {
				t.Errorf("logged %q; want nothing", lines)
			}
		})
	}
	t.Run("IgnoreLostPanics", func(t *testing.T) {
		executor.IgnoreLostPanics.Store(true)
		defer executor.IgnoreLostPanics.Store(false)
		ex := &executor.ThreadPerTask{}
		defer ex.Close()
		l := keepLog(t)
		lose(ex, kaboom, func(*executor.Future[int]) {})
		settled(t)
		if lines := l.LostPanics(); len(lines) != 0 {
			t.Errorf("logged %q; want nothing", lines)
		}
	})
}

// The value of a panic may lead to the future of its call.
func TestAPanicWithItsOwnFutureIsLoggedToo(t *testing.T) {
	ex := &executor.ThreadPerTask{}
	defer ex.Close()
	l := keepLog(t)
	lose(ex, func(ctx context.Context) (int, error) { panic(ctx) }, func(*executor.Future[int]) {})
	untilGone(t, "the future", func() bool { return len(l.LostPanics()) > 0 })
}

// mustLose looks at what lost panics were logged.
func mustLose(t *testing.T, l *testhelp.Log, want ...string) {
	t.Helper()
	if len(want) > 0 {
		untilGone(t, "an error of a lost panic", func() bool { return len(l.LostPanics()) >= len(want) })
	}
	settled(t)
	if got := l.LostValues(); !slices.Equal(got, want) {
		t.Errorf("logged %q; want %q", got, want)
	}
}

// lossy returns executors of each kind that make each item that a map pulls.
func lossy(t *testing.T) map[string]executor.Executor {
	all := map[string]executor.Executor{"processes": newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 2})}
	for name, ex := range executors() {
		t.Cleanup(func() { ex.Close() })
		all[name] = ex
	}
	return all
}

// Items that have panicked are lost when the loop over a Map is left before they were
// yielded. Those that were yielded are not.
func TestAPanicOfAnItemThatWasNotYieldedIsLogged(t *testing.T) {
	const n = 6
	for name, ex := range lossy(t) {
		if name == "Sequential" {
			continue // no item is made before those before it are yielded
		}
		for way, opts := range map[string][]executor.MapOption{
			"one by one":                  nil,
			"unordered":                   {executor.Unordered()},
			"in chunks of 3":              {executor.ChunkSize(3)},
			"in chunks of 4":              {executor.ChunkSize(4)},
			"in one chunk":                {executor.ChunkSize(n)},
			"in chunks of 2 in any order": {executor.ChunkSize(2), executor.Unordered()},
		} {
			for _, yields := range []int{1, 2, n} {
				t.Run(fmt.Sprintf("%s, %s, left after %d", name, way, yields), func(t *testing.T) {
					l := keepLog(t)
					left := leaveMap(t, ex, n, yields, append(opts, executor.Buffer(10*n)))
					mustLose(t, l, left...)
				})
			}
		}
	}
}

// leaveMap begins a Map of n items that panic, waits until they have, leaves the loop
// after some, and returns the values of those that were not yielded.
//
//go:noinline
func leaveMap(t *testing.T, ex executor.Executor, n, yields int, opts []executor.MapOption) (left []string) {
	log, gate := inDir(t, "log"), inDir(t, "gate")
	in := func(yield func(mapItem) bool) {
		defer touch(t, gate) // else results were yielded before all items were pulled
		for i := range n {
			if !yield(mapItem{N: i, Log: log, Does: "panic after hold", Gate: gate}) {
				return
			}
		}
	}
	for i := range n {
		left = append(left, fmt.Sprint("item ", i))
	}
	for _, err := range executor.Map(t.Context(), ex, mapMake, in, opts...) {
		for i := range n {
			awaitStart(t, log, i)
		}
		p := new(executor.PanicError)
		if !errors.As(err, &p) {
			t.Errorf("an item that panics has the error %v", err)
			return nil
		}
		left = slices.DeleteFunc(left, func(value string) bool { return value == p.Value })
		if yields--; yields == 0 {
			break
		}
	}
	return left
}

// MapSlice returns the panic of the lowest element. Others are lost, whichever came first;
// with CollectErrors, none is.
func TestAPanicThatMapSliceDoesNotReturnIsLogged(t *testing.T) {
	for name, ex := range lossy(t) {
		if name == "Sequential" {
			continue // no element begins behind one that has failed
		}
		for how, row := range map[string]struct {
			does []string // elements 0 and 1
			opts []executor.MapOption
			want []string // logged
		}{
			"both panic":                {[]string{"panic", "panic"}, nil, []string{"item 1"}},
			"the first fails":           {[]string{"fail", "panic"}, nil, []string{"item 1"}},
			"the second fails":          {[]string{"panic", "fail"}, nil, nil},
			"both panic, CollectErrors": {[]string{"panic", "panic"}, []executor.MapOption{executor.CollectErrors()}, nil},
		} {
			for _, first := range []int{0, 1} {
				t.Run(fmt.Sprintf("%s, %s, element %d first", name, how, first), func(t *testing.T) {
					l := keepLog(t)
					meetAndFail(t, ex, row.does, first, row.opts)
					mustLose(t, l, row.want...)
				})
			}
		}
	}
}

// meetAndFail makes a map of two elements that both have begun before one ends.
//
//go:noinline
func meetAndFail(t *testing.T, ex executor.Executor, does []string, first int, opts []executor.MapOption) {
	log := inDir(t, "log")
	in := []rendezvous{{Item: mapItem{N: 0, Does: does[0], Log: log}}, {Item: mapItem{N: 1, Does: does[1], Log: log}}}
	in[0].Log, in[1].Log = log, log
	in[1-first].IsLast = true
	if _, err := executor.MapSlice(t.Context(), ex, meetThenMake, in, append(opts, executor.ChunkSize(1))...); err == nil {
		t.Error("MapSlice of two elements that fail has no error")
	}
}

// rendezvous is an element that waits until the other has begun, too; or a while longer.
type rendezvous struct {
	Item   mapItem
	Log    string
	IsLast bool
}

func init() { executor.Register(meetThenMake) }

func meetThenMake(ctx context.Context, r rendezvous) (int, error) {
	if err := logStart(r.Log, r.Item.N); err != nil {
		return 0, err
	}
	for {
		text, err := os.ReadFile(r.Log)
		if err != nil {
			return 0, err
		}
		if bytes.Count(text, []byte("\n")) >= 2 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if r.IsLast {
		time.Sleep(20 * time.Millisecond)
	}
	r.Item.Log = ""
	return mapMake(ctx, r.Item)
}

// A panic that the function of a call hands on as it is is asked for when its future is.
func TestAPanicThatIsHandedOnIsLostWithTheFutureThatHasIt(t *testing.T) {
	ctx := context.Background()
	for name, row := range map[string]struct {
		fn   func(context.Context) (int, error)
		want []string
	}{
		"of a call": {func(ctx context.Context) (int, error) { return handKaboomOn(ctx) }, []string{"kaboom"}},
		"in another text": {func(ctx context.Context) (int, error) {
			_, err := handKaboomOn(ctx)
			return 0, fmt.Errorf("outer: %w", err)
		}, nil},
		"of a map": {func(ctx context.Context) (int, error) {
			_, err := executor.MapSlice(ctx, new(executor.ThreadPerTask), mapMake, itemsOf("", "panic"))
			return 0, err
		}, []string{"item 1"}},
		"of a map that collects": {func(ctx context.Context) (int, error) {
			_, err := executor.MapSlice(ctx, new(executor.ThreadPerTask), mapMake, itemsOf("panic", "", "fail", "panic"), executor.CollectErrors())
			return 0, err
		}, []string{"item 0", "item 3"}},
	} {
		t.Run(name, func(t *testing.T) {
			l := keepLog(t)
			lose(new(executor.ThreadPerTask), row.fn, func(f *executor.Future[int]) { f.Result(ctx) })
			mustLose(t, l)
			lose(new(executor.ThreadPerTask), row.fn, func(*executor.Future[int]) {})
			mustLose(t, l, row.want...)
		})
	}
}

func handKaboomOn(ctx context.Context) (int, error) {
	return executor.Go(ctx, new(executor.ThreadPerTask), kaboom).Result(ctx)
}

// A wait that has ended before the call did has not asked.
func TestAPanicAfterTheEndOfAWaitIsLogged(t *testing.T) {
	for name, wait := range map[string]func(context.Context, *executor.Future[int]){
		"Wait": func(ctx context.Context, f *executor.Future[int]) { executor.Wait(ctx, executor.AllCompleted, f) },
		"AsCompleted": func(ctx context.Context, f *executor.Future[int]) {
			for range executor.AsCompleted(ctx, f) {
			}
		},
		"AsCompleted that is left": func(_ context.Context, f *executor.Future[int]) {
			defer func() { <-f.Done() }()
			for range executor.AsCompleted(context.Background(), executor.Go(context.Background(), new(executor.Sequential), func(context.Context) (int, error) { return 0, nil }), f) {
				return
			}
		},
		"Result": func(ctx context.Context, f *executor.Future[int]) { f.Result(ctx) },
		"Done":   func(_ context.Context, f *executor.Future[int]) { <-f.Done() },
	} {
		t.Run(name, func(t *testing.T) {
			l := keepLog(t)
			lose(new(executor.ThreadPerTask), kaboom, func(*executor.Future[int]) {})
			mustLose(t, l, "kaboom")
			goOn := make(chan struct{})
			late := func(ctx context.Context) (int, error) { <-goOn; return kaboom(ctx) }
			lose(new(executor.ThreadPerTask), late, func(f *executor.Future[int]) {
				if name == "Done" || name == "AsCompleted that is left" {
					time.AfterFunc(5*time.Millisecond, func() { close(goOn) })
					wait(context.Background(), f)
					return
				}
				ctx, cancel := context.WithTimeout(context.Background(), 5*time.Millisecond)
				defer cancel()
				wait(ctx, f)
				close(goOn)
			})
			mustLose(t, l, "kaboom", "kaboom")
		})
	}
}

// OnDone of a Call is for executors, and asks for nothing.
func TestACallbackOfACallDoesNotAskForItsResult(t *testing.T) {
	l := keepLog(t)
	told := make(chan string, 2)
	ex := &telling{told: told}
	lose(ex, kaboom, func(*executor.Future[int]) {})
	if before, after := <-told, <-told; before != "before" || after != "after" {
		t.Errorf("the callbacks are called as %q, %q; want in order of registration", before, after)
	}
	mustLose(t, l, "kaboom")
}

// telling tells when its calls have ended.
type telling struct {
	executor.ThreadPerTask
	told chan string
}

func (e *telling) Execute(ctx context.Context, c *executor.Call) {
	c.OnDone(func() { e.told <- "before" })
	e.ThreadPerTask.Execute(ctx, c)
	c.OnDone(func() { e.told <- "after" })
}

// rude is what a function panics with: its method ends the goroutine.
type rude struct{}

func (rude) Error() string { runtime.Goexit(); return "" }

func TestAPanicWhoseValueEndsItsGoroutineIsThatOfTheCallAlone(t *testing.T) {
	ex := &executor.ThreadPoolExecutor{MaxWorkers: 2}
	defer ex.Close()
	l := keepLog(t)
	fn := func(_ context.Context, i int) (int, error) {
		if i == 1 {
			panic(rude{})
		}
		return i, nil
	}
	isRude := func(err error) bool {
		p, isPanic := err.(*executor.PanicError)
		return isPanic && p.Value == rude{}
	}
	if _, err := executor.Submit(t.Context(), ex, fn, 1).Result(t.Context()); !isRude(err) {
		t.Errorf("Submit: error of type %T; want the panic", err)
	}
	i := 0
	for v, err := range executor.Map(t.Context(), ex, fn, slices.Values(numbers(4)), executor.ChunkSize(4)) {
		if isRude(err) != (i == 1) || i != 1 && v != i {
			t.Errorf("Map: item %d has %d, an error of type %T", i, v, err)
		}
		i++
	}
	if i != 4 {
		t.Errorf("Map: %d items; want 4", i)
	}
	out, err := executor.MapSlice(t.Context(), ex, fn, numbers(4), executor.CollectErrors(), executor.ChunkSize(4))
	if _, errs := outcomesOf(t, 4, out, err); !isRude(errs[1]) || !slices.Equal(out, []int{0, 0, 2, 3}) {
		t.Errorf("MapSlice: %v, %T", out, errs[1])
	}
	lose(ex, func(context.Context) (int, error) { panic(rude{}) }, func(*executor.Future[int]) {})
	mustLose(t, l, "(a method of the value ended its goroutine)")
}

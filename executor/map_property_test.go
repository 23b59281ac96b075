package executor_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gofutures/futures/executor"
	"pgregory.net/rapid"
)

// mapPlan is a random Map: what each of its items does, and how it is run.
type mapPlan struct {
	items     []itemPlan
	kind      string
	workers   int
	limit     int // QueueLimit
	chunk     int // 0: not given
	buffer    int // 0: not given
	unordered bool
	leave     int // after so many outcomes; -1: never
}

// itemPlan is what the function does with an item.
type itemPlan struct {
	does string // return, fail, panic, Goexit
	nap  time.Duration
}

func drawItems(rt *rapid.T) []itemPlan {
	item := rapid.Custom(func(rt *rapid.T) itemPlan {
		return itemPlan{
			does: rapid.SampledFrom([]string{"return", "return", "return", "fail", "panic", "Goexit"}).Draw(rt, "does"),
			nap:  time.Duration(rapid.IntRange(0, 3).Draw(rt, "nap")) * time.Second,
		}
	})
	return rapid.SliceOfN(item, 0, 40).Draw(rt, "items")
}

func drawMapPlan(rt *rapid.T) mapPlan {
	p := mapPlan{
		items:     drawItems(rt),
		kind:      rapid.SampledFrom([]string{"ThreadPoolExecutor", "ThreadPerTask", "Sequential"}).Draw(rt, "kind"),
		workers:   rapid.IntRange(1, 4).Draw(rt, "workers"),
		limit:     rapid.IntRange(0, 3).Draw(rt, "limit"),
		chunk:     rapid.IntRange(0, 9).Draw(rt, "chunk"),
		buffer:    rapid.IntRange(0, 12).Draw(rt, "buffer"),
		unordered: rapid.Bool().Draw(rt, "unordered"),
		leave:     -1,
	}
	if rapid.Bool().Draw(rt, "leaves") {
		p.leave = rapid.IntRange(1, 20).Draw(rt, "leave")
	}
	return p
}

// open returns the executor of a plan.
func open(kind string, workers, limit int) opened {
	switch kind {
	case "ThreadPerTask":
		return &executor.ThreadPerTask{}
	case "Sequential":
		return &executor.Sequential{}
	}
	return &executor.ThreadPoolExecutor{MaxWorkers: workers, QueueLimit: limit}
}

func (p mapPlan) options() (opts []executor.MapOption) {
	if p.chunk > 0 {
		opts = append(opts, executor.ChunkSize(p.chunk))
	}
	if p.buffer > 0 {
		opts = append(opts, executor.Buffer(p.buffer))
	}
	if p.unordered {
		opts = append(opts, executor.Unordered())
	}
	return opts
}

// ahead is the most items that may be ahead of what was yielded.
func (p mapPlan) ahead(ex executor.Executor) int {
	n := p.buffer
	if n == 0 {
		if n = ex.Workers(); n == 0 {
			n = runtime.GOMAXPROCS(0)
		}
		n *= 2
	}
	return max(n, p.chunk)
}

// makeItem is the function of the random tests.
func makeItem(items []itemPlan, calls *tally) executor.Func[int, int] {
	return func(_ context.Context, i int) (int, error) {
		defer calls.begin()()
		time.Sleep(items[i].nap)
		switch items[i].does {
		case "fail":
			return -i, itemError(i)
		case "panic":
			panic(itemError(i))
		case "Goexit":
			runtime.Goexit()
		}
		return i, nil
	}
}

// outcomeOf says what became of an item, as a loop would see it.
func outcomeOf(i int, does string) string {
	switch does {
	case "fail":
		return fmt.Sprintf("%d, item %d", -i, i)
	case "panic":
		return fmt.Sprintf("0, panic item %d", i)
	case "Goexit":
		return "0, Goexit"
	}
	return fmt.Sprintf("%d, <nil>", i)
}

// seenAs says the same of what was yielded.
func seenAs(v int, err error) string {
	var item itemError
	var panicked *executor.PanicError
	switch {
	case err == executor.ErrGoexit:
		return fmt.Sprintf("%d, Goexit", v)
	case errors.As(err, &panicked) && errors.As(err, &item) && len(panicked.Stack) > 0:
		return fmt.Sprintf("%d, panic %v", v, item)
	}
	return fmt.Sprintf("%d, %v", v, err)
}

// run runs the plan in a bubble of its own and returns what is wrong.
func (p mapPlan) run(t *testing.T) (wrong string) {
	synctest.Test(t, func(t *testing.T) {
		ex := open(p.kind, p.workers, p.limit)
		defer ex.Close()
		var calls tally
		in, pulled := upTo(len(p.items))
		var got []string
		ahead := 0
		for v, err := range executor.Map(t.Context(), ex, makeItem(p.items, &calls), in, p.options()...) {
			ahead = max(ahead, int(pulled.Load())-len(got))
			if got = append(got, seenAs(v, err)); len(got) == p.leave {
				break
			}
		}
		if calls.running.Load() != 0 {
			wrong = fmt.Sprintf("%d calls run after the loop", calls.running.Load())
		}
		if ahead > p.ahead(ex) {
			wrong = fmt.Sprintf("%d items ahead; want at most %d", ahead, p.ahead(ex))
		}
		if w := int64(ex.Workers()); w > 0 && calls.most.Load() > w {
			wrong = fmt.Sprintf("%d calls at once; want at most %d", calls.most.Load(), w)
		}
		synctest.Wait()
		if s := ex.Stats(); s.Queued+s.Running != 0 || s.Submitted != s.Succeeded+s.Failed+s.Cancelled {
			wrong = fmt.Sprintf("Stats after the loop = %+v", s)
		}
		var want []string
		for i, item := range p.items {
			want = append(want, outcomeOf(i, item.does))
		}
		n := len(want)
		if p.leave >= 0 {
			n = min(n, p.leave)
		}
		switch {
		case len(got) != n:
			wrong = fmt.Sprintf("%d outcomes %q; want %d of %q", len(got), got, n, want)
		case !p.unordered && !slices.Equal(got, want[:n]):
			wrong = fmt.Sprintf("outcomes %q; want %q", got, want[:n])
		case p.unordered && !isPartOf(got, want):
			wrong = fmt.Sprintf("outcomes %q; want some %d of %q", got, n, want)
		}
	})
	return wrong
}

// isPartOf reports whether the multiset part is within whole.
func isPartOf(part, whole []string) bool {
	count := map[string]int{}
	for _, s := range whole {
		count[s]++
	}
	for _, s := range part {
		if count[s]--; count[s] < 0 {
			return false
		}
	}
	return true
}

// Any Map is the loop that it stands
// for.
func TestAnyMapEqualsALoop(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		p := drawMapPlan(rt)
		if wrong := p.run(t); wrong != "" {
			rt.Fatalf("%s\n%+v", wrong, p)
		}
	})
}

package pool_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/gofutures/futures/executor"
	"github.com/gofutures/futures/executor/executortest"
	"github.com/gofutures/futures/pool"
)

// python is what CPython's pools have answered: see testdata/python/pool_tables.py.
type python struct {
	MadeBy     map[string]string `json:"made_by"`
	Outcomes   []pythonRow
	Behaviours []pythonAnswer
}

// pythonRow is four maps of n items, in chunks of that size, of which some fail.
type pythonRow struct {
	n     int
	chunk int // 0: not given
	fails []int
	outcomes
}

// outcomes are what came of them: lists of results, as float64, and of the texts
// of errors. That of a map that fails is the text alone.
type outcomes struct {
	Map, MapAsync       any
	Imap, ImapUnordered []any // that of ImapUnordered is sorted
}

func (r *pythonRow) UnmarshalJSON(text []byte) error {
	return json.Unmarshal(text, &[]any{&r.n, &r.chunk, &r.fails, &r.Map, &r.MapAsync, &r.Imap, &r.ImapUnordered})
}

type pythonAnswer struct {
	what   string
	answer any
}

func (r *pythonAnswer) UnmarshalJSON(text []byte) error {
	return json.Unmarshal(text, &[]any{&r.what, &r.answer})
}

func readPython(t *testing.T) (table python) {
	t.Helper()
	text, err := os.ReadFile("testdata/pool.json")
	if err == nil {
		err = json.Unmarshal(text, &table)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("the answers are those of %v", table.MadeBy)
	return table
}

// size returns the length of the chunks of a map that a pool of two processes
// makes in Python. Imap's is 1 if none is given.
func (r *pythonRow) size() int {
	if r.chunk == 0 {
		return max(1, (r.n+7)/8)
	}
	return r.chunk
}

// difference is where this package does something else on purpose.
type difference struct {
	what    string
	applies func(pythonRow) bool
	mend    func(pythonRow, *outcomes) // makes what Python says what is wanted
}

var differences = []difference{
	{
		// In Python the first to arrive, which depends on the time that each item
		// takes. In the table, that is the second of two failing items, unless both are
		// in one chunk.
		what: "a map fails with the error of lowest index",
		applies: func(r pythonRow) bool {
			return len(r.fails) > 1 && r.fails[0]/r.size() != r.fails[1]/r.size()
		},
		mend: func(r pythonRow, want *outcomes) {
			want.Map, want.MapAsync = itemError(r.fails[0]).Error(), itemError(r.fails[0]).Error()
		},
	},
	{
		// In Python the chunk of a failed item has no results, and the iteration is
		// over, though the others have been made.
		what: "Imap goes on after a failed item within a chunk",
		applies: func(r pythonRow) bool {
			if r.chunk <= 1 || r.n == 1 || len(r.fails) == 0 {
				return false
			}
			return r.fails[0] < r.n-1 || r.fails[0]%r.chunk > 0 // else it is the last, in a chunk of its own
		},
		mend: func(r pythonRow, want *outcomes) {
			want.Imap = nil
			for i := range r.n {
				if slices.Contains(r.fails, i) {
					want.Imap = append(want.Imap, itemError(i).Error())
				} else {
					want.Imap = append(want.Imap, float64(10*i))
				}
			}
			want.ImapUnordered = slices.Clone(want.Imap)
			slices.SortFunc(want.ImapUnordered, byRank)
		},
	},
}

// byRank sorts as the script does: numbers first.
func byRank(a, b any) int {
	x, isX := a.(float64)
	y, isY := b.(float64)
	switch {
	case isX && isY:
		return cmp.Compare(x, y)
	case isX != isY:
		return map[bool]int{true: -1, false: 1}[isX]
	}
	return cmp.Compare(a.(string), b.(string))
}

// outcomesOf makes the maps of a row. The first of two items that fail comes
// after the second.
func outcomesOf(ctx context.Context, p *pool.Pool, r pythonRow) (got outcomes) {
	in := items(make([]string, r.n)...)
	for i := len(r.fails) - 1; i >= 0; i-- {
		in[r.fails[i]].Does = "fail"
		if i < len(r.fails)-1 {
			in[r.fails[i]].Does = "fail late"
		}
	}
	var opts []pool.Option
	if r.chunk > 0 {
		opts = append(opts, pool.ChunkSize(r.chunk))
	}
	got.Map = ofMap(pool.Map(ctx, p, makeItem, in, opts...))
	got.MapAsync = ofMap(pool.MapAsync(ctx, p, makeItem, in, opts...).Result(ctx))
	for v, err := range pool.Imap(ctx, p, makeItem, slices.Values(in), opts...) {
		got.Imap = append(got.Imap, ofItem(v, err))
	}
	for v, err := range pool.ImapUnordered(ctx, p, makeItem, slices.Values(in), opts...) {
		got.ImapUnordered = append(got.ImapUnordered, ofItem(v, err))
	}
	slices.SortFunc(got.ImapUnordered, byRank)
	return got
}

func ofMap(out []int, err error) any {
	if err != nil {
		if out != nil {
			return fmt.Sprintf("%v beside %v", out, err)
		}
		return err.Error()
	}
	values := []any{}
	for _, v := range out {
		values = append(values, float64(v))
	}
	return values
}

func ofItem(v int, err error) any {
	if err != nil {
		return err.Error()
	}
	return float64(v)
}

// Whatever the number of items, the size of the chunks and the
// items that fail, the outcomes are Python's, but for the differences.
func TestOutcomesAreThoseOfPython(t *testing.T) {
	table := readPython(t)
	each(t, 2, func(t *testing.T, p *pool.Pool) {
		applied := map[string]int{}
		for _, r := range table.Outcomes {
			want := r.outcomes
			var differs []string
			for _, d := range differences {
				if d.applies(r) {
					before := fmt.Sprint(want)
					if d.mend(r, &want); fmt.Sprint(want) == before {
						t.Errorf("%d items in chunks of %d (0: not given), of which %v fail: %q is no difference", r.n, r.chunk, r.fails, d.what)
					}
					applied[d.what]++
					differs = append(differs, d.what)
				}
			}
			if got := outcomesOf(t.Context(), p, r); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%d items in chunks of %d (0: not given), of which %v fail:\n got %v\nwant %v\nwhich is Python's, but for %q", r.n, r.chunk, r.fails, got, want, differs)
			}
		}
		for _, d := range differences {
			if applied[d.what] == 0 {
				t.Errorf("no row has the difference %q", d.what)
			}
		}
		t.Logf("%d rows, of which are different: %v", len(table.Outcomes), applied)
	})
}

// behaviour is what is asked of a pool, and what it is to answer.
type behaviour struct {
	ask  func(*testing.T, *pool.Pool) any
	want any    // the answer, or a part of its text, if it is not Python's
	why  string // it is not; "" if it is
}

// calls are the six ways to make calls, of three items or of item 1.
var calls = map[string]func(context.Context, *pool.Pool, ...pool.Option) (any, error){
	"apply": func(ctx context.Context, p *pool.Pool, _ ...pool.Option) (any, error) {
		return boxed(pool.Apply(ctx, p, makeItem, item{N: 1}))
	},
	"apply_async": func(ctx context.Context, p *pool.Pool, _ ...pool.Option) (any, error) {
		return boxed(pool.ApplyAsync(ctx, p, makeItem, item{N: 1}).Result(context.Background()))
	},
	"map": func(ctx context.Context, p *pool.Pool, opts ...pool.Option) (any, error) {
		return boxed(pool.Map(ctx, p, makeItem, items("", "", ""), opts...))
	},
	"map_async": func(ctx context.Context, p *pool.Pool, opts ...pool.Option) (any, error) {
		return boxed(pool.MapAsync(ctx, p, makeItem, items("", "", ""), opts...).Result(context.Background()))
	},
	"imap": func(ctx context.Context, p *pool.Pool, opts ...pool.Option) (any, error) {
		return boxed(executor.Collect(pool.Imap(ctx, p, makeItem, slices.Values(items("", "", "")), opts...)))
	},
	"imap_unordered": func(ctx context.Context, p *pool.Pool, opts ...pool.Option) (any, error) {
		out, err := executor.Collect(pool.ImapUnordered(ctx, p, makeItem, slices.Values(items("", "", "")), opts...))
		slices.Sort(out)
		return boxed(out, err)
	},
}

func boxed[T any](v T, err error) (any, error) { return v, err }

// answerOf is the answer of a call: its result, or the text of its error.
func answerOf(v any, err error) any {
	if err != nil {
		return err.Error()
	}
	return v
}

// behaviours has each of the table's.
func behaviours() map[string]behaviour {
	all := map[string]behaviour{}
	ends := map[string]func(*pool.Pool) error{"close": (*pool.Pool).Close, "terminate": (*pool.Pool).Terminate}
	for name, call := range calls {
		ask := func(t *testing.T, p *pool.Pool) any { return answerOf(call(t.Context(), p)) }
		all[name] = behaviour{ask: ask}
		for how, end := range ends {
			all[name+" after "+how] = behaviour{
				ask: func(t *testing.T, p *pool.Pool) any {
					if err := end(p); err != nil {
						t.Errorf("%s = %v; want nil", how, err)
					}
					_, err := call(t.Context(), p)
					if !errors.Is(err, executor.ErrShutdown) {
						t.Errorf("the error is %v; want one that matches ErrShutdown", err)
					}
					return answerOf(nil, err)
				},
				want: "closed",
				why:  "the same error in other words, which matches executor.ErrShutdown",
			}
		}
		for _, size := range []int{0, -1} {
			if !strings.HasPrefix(name, "apply") && name != "map_async" {
				all[fmt.Sprintf("%s with chunksize %d", name, size)] = behaviour{
					ask: func(t *testing.T, p *pool.Pool) any {
						return answerOf(call(t.Context(), p, pool.ChunkSize(size)))
					},
					want: fmt.Sprintf("ChunkSize(%d): it must be at least 1", size),
					why:  "imap's error, in other words, for map too, whose results are None in Python and no item is made",
				}
			}
		}
	}
	twice := func(first, second func(*pool.Pool) error) func(*testing.T, *pool.Pool) any {
		return func(_ *testing.T, p *pool.Pool) any {
			return [2]any{answerOf(nil, first(p)), answerOf(nil, second(p))}
		}
	}
	all["close twice"] = behaviour{ask: twice(ends["close"], ends["close"])}
	all["terminate twice"] = behaviour{ask: twice(ends["terminate"], ends["terminate"])}
	all["terminate after close"] = behaviour{ask: twice(ends["close"], ends["terminate"])}
	all["apply of a function that fails"] = behaviour{
		ask: func(t *testing.T, p *pool.Pool) any {
			return answerOf(boxed(pool.Apply(t.Context(), p, makeItem, item{N: 7, Does: "fail"})))
		},
		want: "item 7",
		why:  "an error in Go has a text and no prefix with its type",
	}
	all["map_async of nothing is ready"] = behaviour{
		ask: func(t *testing.T, p *pool.Pool) any {
			f := pool.MapAsync(t.Context(), p, makeItem, nil)
			_, _ = resultOf(t, f)
			return isDone(f)
		},
		want: true,
		why:  "it is done a moment later, because all maps are made elsewhere; it needs no worker",
	}
	all["join before close"] = behaviour{
		ask:  func(_ *testing.T, p *pool.Pool) any { return answerOf(nil, p.Close()) },
		want: nil,
		why:  "there is no join: Close and Terminate are both, in the only right order",
	}
	all["join after close"] = behaviour{
		ask: func(_ *testing.T, p *pool.Pool) any { return answerOf(nil, errors.Join(p.Close(), p.Close())) },
	}
	all["get with a timeout, get again"] = behaviour{
		ask: func(t *testing.T, p *pool.Pool) any {
			gate := inDir(t, "gate")
			f := pool.ApplyAsync(t.Context(), p, makeItem, item{N: 1, Does: "hold", Gate: gate})
			_, first := f.Result(ended())
			touch(t, gate)
			_, second := resultOf(t, f)
			return fmt.Sprint(errors.Is(first, executor.ErrPending), second)
		},
		want: "true <nil>",
		why:  "the TimeoutError is one that matches executor.ErrPending; the call goes on as in Python",
	}
	all["successful before it is ready"] = behaviour{
		ask: func(t *testing.T, p *pool.Pool) any {
			gate := inDir(t, "gate")
			f := pool.ApplyAsync(t.Context(), p, makeItem, item{N: 1, Does: "hold", Gate: gate})
			defer touch(t, gate)
			return fmt.Sprint(f.State() == executor.Finished)
		},
		want: "false",
		why:  "it is State, which has an answer at all times",
	}
	all["get, after a second, of a call that was terminated"] = behaviour{
		ask: func(t *testing.T, p *pool.Pool) any {
			log := inDir(t, "log")
			f := pool.ApplyAsync(t.Context(), p, makeItem, item{N: 1, Does: "heed", Log: log})
			awaitStarts(t, log, 1)
			if err := p.Terminate(); err != nil {
				t.Errorf("Terminate = %v; want nil", err)
			}
			_, err := f.Result(ended())
			return fmt.Sprint(errors.Is(err, context.Canceled), errors.Is(err, executor.ErrPending))
		},
		want: "true false",
		why:  "Terminate ends every call; in Python, who waits for one waits for ever",
	}
	all["items of 1,000 that imap pulls by itself"] = behaviour{
		ask: func(t *testing.T, p *pool.Pool) any {
			in, pulled := counting()
			seq := pool.Imap(t.Context(), p, double, in)
			asked := pulled.Load()
			for range seq {
				break
			}
			return fmt.Sprint(asked, pulled.Load() <= int64(2*p.Workers()))
		},
		want: "0 true",
		why:  "nothing is pulled before a result is wanted, and then twice the number of workers at most",
	}
	for _, n := range []int{0, -1} {
		all[fmt.Sprintf("a pool of %d", n)] = sizes[n]
	}
	all["get, after a second, of a call whose worker was killed"] = behaviour{
		ask: func(t *testing.T, p *pool.Pool) any {
			executortest.NeedsProcesses(t)
			if _, err := pool.Apply(t.Context(), p, processID, 0); err != nil {
				t.Error(err)
			}
			q := pool.Processes(1) // whatever p is: in a goroutine, it would be the end of the test
			defer closeInTime(t, q)
			_, err := pool.Apply(t.Context(), q, makeItem, item{N: 2, Does: "exit"})
			died, ok := errors.AsType[*executor.WorkerDiedError](err)
			return fmt.Sprint(ok && died.ExitCode == 42)
		},
		want: "true",
		why:  "it fails with a *executor.WorkerDiedError; in Python, it never ends",
	}
	return all
}

var sizes = map[int]behaviour{
	0: {
		ask: func(t *testing.T, _ *pool.Pool) any {
			threads, processes := pool.Threads(0), pool.Processes(0)
			defer closeInTime(t, threads)
			defer closeInTime(t, processes)
			return fmt.Sprint(threads.Workers() > 0, processes.Workers() > 0)
		},
		want: "true true",
		why:  "0 is what None is in Python: as many as there are cores",
	},
	-1: {
		ask: func(t *testing.T, _ *pool.Pool) any {
			for _, p := range []*pool.Pool{pool.Threads(-1), pool.Processes(-1)} {
				defer closeInTime(t, p)
				if _, err := pool.Apply(t.Context(), p, double, 1); err == nil || !strings.Contains(err.Error(), "-1") {
					return fmt.Sprint("Apply = ", err)
				}
			}
			return "says so"
		},
		want: "says so",
		why:  "making a pool cannot fail, so that each call does",
	},
}

// What else Python's pools do, or fail to do.
func TestBehaviourIsThatOfPythonOrDiffersForAReason(t *testing.T) {
	table := readPython(t)
	all := behaviours()
	for _, r := range table.Behaviours {
		b, isThere := all[r.what]
		if !isThere {
			t.Errorf("Python answers to %q, and this test does not ask", r.what)
			continue
		}
		delete(all, r.what)
		t.Run(r.what, func(t *testing.T) {
			t.Parallel() // much of it waits
			each(t, 2, func(t *testing.T, p *pool.Pool) {
				got := b.ask(t, p)
				if b.why == "" {
					if text, _ := json.Marshal(got); string(text) != string(must(json.Marshal(r.answer))) {
						t.Errorf("%s: %s; want Python's answer, %v", r.what, text, r.answer)
					}
					return
				}
				text, isText := got.(string)
				want, isWantText := b.want.(string)
				if isSo := got == b.want || isText && isWantText && strings.Contains(text, want); !isSo {
					t.Errorf("%s: %v; want %v, and not Python's %v, because: %s", r.what, got, b.want, r.answer, b.why)
				}
			})
		})
	}
	for what := range all {
		t.Errorf("this test asks %q, and the table has no answer of Python", what)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// ended returns a ctx that has ended.
func ended() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

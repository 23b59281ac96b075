package parallel_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gofutures/futures/executor"
	"github.com/gofutures/futures/executor/executortest"
	"github.com/gofutures/futures/parallel"
)

// joblib is what joblib has answered: see testdata/python/parallel_tables.py.
// Version 1.2 has no generators.
type joblib struct {
	MadeBy         map[string]string `json:"made_by"`
	Numbers        []int             // of jobs, to which the rows of Effective answer
	Lines          struct{ Begin, Tasks, Of, End string }
	UnknownBackend string `json:"unknown_backend"`
	Effective      []effectiveRow
	Cuts           []cutRow
	Outcomes       []outcomeRow
}

func readJoblib(t *testing.T) (table joblib) {
	t.Helper()
	text, err := os.ReadFile("testdata/joblib.json")
	if err == nil {
		err = json.Unmarshal(text, &table)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("the answers are those of %v", table.MadeBy)
	return table
}

// errZero is what joblib says to 0 jobs, with the type that effective_n_jobs adds.
const errZero = "n_jobs == 0 in Parallel has no meaning"

type effectiveRow struct {
	cpus    int
	answers []any // numbers, or the text of an error
}

func (r *effectiveRow) UnmarshalJSON(text []byte) error {
	return json.Unmarshal(text, &[]any{&r.cpus, &r.answers})
}

func TestEffectiveJobsIsJoblibs(t *testing.T) {
	table := readJoblib(t)
	for _, row := range table.Effective {
		t.Run(fmt.Sprint(row.cpus, " CPUs"), func(t *testing.T) {
			setCPUs(t, row.cpus)
			if got := parallel.CPUCount(); got != row.cpus {
				t.Errorf("CPUCount = %d; want %d", got, row.cpus)
			}
			for i, n := range table.Numbers {
				got, err := parallel.EffectiveJobs(n)
				if row.answers[i] == "ValueError: "+errZero {
					if err == nil || !strings.Contains(err.Error(), "0") || got != 0 {
						t.Errorf("EffectiveJobs(%d) = %d, %v; want 0 and an error that names 0", n, got, err)
					}
				} else if want := int(row.answers[i].(float64)); got != want || err != nil {
					t.Errorf("EffectiveJobs(%d) = %d, %v; want %d", n, got, err, want)
				}
			}
		})
	}
}

type cutRow struct {
	n, jobs, batch int
	preDispatch    any    // a number or a text
	cut            string // sizes and how often each comes, one after another
}

func (r *cutRow) UnmarshalJSON(text []byte) error {
	return json.Unmarshal(text, &[]any{&r.n, &r.jobs, &r.batch, &r.preDispatch, &r.cut})
}

// preDispatch returns joblib's in Go.
func preDispatch(t *testing.T, joblibs any) int {
	t.Helper()
	switch joblibs {
	case "all":
		return parallel.PreDispatchAll
	case "2*n_jobs":
		return 0
	}
	n, ok := joblibs.(float64)
	if !ok {
		t.Fatalf("pre_dispatch is %v", joblibs)
	}
	return int(n)
}

// runLengths returns sizes as the rows have them: "3x2 1x5".
func runLengths(sizes []int) string {
	var words []string
	for len(sizes) > 0 {
		n := slices.IndexFunc(sizes, func(size int) bool { return size != sizes[0] })
		if n < 0 {
			n = len(sizes)
		}
		words = append(words, fmt.Sprintf("%dx%d", sizes[0], n))
		sizes = sizes[n:]
	}
	return strings.Join(words, " ")
}

// batchesIn returns the sizes of the batches of a stream of n calls, in order: it
// is told of progress for each of them.
func batchesIn(ctx context.Context, j parallel.Jobs, n int) (sizes []int, err error) {
	done := 0
	j.Progress = func(s parallel.Stats) {
		if s.Done > done {
			sizes = append(sizes, s.Done-done)
		}
		done = s.Done
	}
	in, _ := counting(n, double)
	_, err = executor.Collect(parallel.Stream(ctx, j, in))
	return sizes, err
}

// With batches of one call, this package does not take one call for each job
// together, as joblib does, so that none waits for another. This changes no size.
func TestCallsAreCutIntoJoblibsBatches(t *testing.T) {
	ex := elsewhere{&executor.ThreadPoolExecutor{MaxWorkers: 8}}
	defer ex.Executor.(*executor.ThreadPoolExecutor).Close()
	for _, row := range readJoblib(t).Cuts {
		j := parallel.Jobs{N: row.jobs, BatchSize: row.batch, PreDispatch: preDispatch(t, row.preDispatch)}
		for name, j := range map[string]parallel.Jobs{"threads": j, "elsewhere": on(ex, j)} {
			if name == "elsewhere" && row.jobs == 1 {
				continue // joblib ignores pre_dispatch only where nothing is sent
			}
			sizes, err := batchesIn(t.Context(), j, row.n)
			if got := runLengths(sizes); got != row.cut || err != nil {
				t.Errorf("%s: %d calls, %d jobs, batch_size %d, pre_dispatch %v: batches %s, error %v; want %s",
					name, row.n, row.jobs, row.batch, row.preDispatch, got, err, row.cut)
			}
		}
	}
}

// on returns j with an executor.
func on(ex executor.Executor, j parallel.Jobs) parallel.Jobs {
	j.Executor = ex
	return j
}

type outcomeRow struct {
	jobs, n int
	fails   []int
	outcome any // a list of results, or the text of an error
}

func (r *outcomeRow) UnmarshalJSON(text []byte) error {
	return json.Unmarshal(text, &[]any{&r.jobs, &r.n, &r.fails, &r.outcome})
}

// Of two calls that fail, the first ends after the second, and is the one whose
// error both return. From 1.3 on, joblib raises the one that comes first.
func TestOutcomesAreJoblibs(t *testing.T) {
	setCPUs(t, 4)
	for _, backend := range []string{"threads", "processes"} {
		t.Run(backend, func(t *testing.T) {
			if backend == "processes" {
				executortest.NeedsProcesses(t)
			}
			for _, row := range readJoblib(t).Outcomes {
				if backend == "processes" && (row.jobs != 2 || row.n != 6) {
					continue // a worker process takes its time to start
				}
				in := items(make([]string, row.n)...)
				for i, fails := range row.fails {
					in[fails].Does = "fail"
					if len(row.fails) > 1 && i == 0 {
						in[fails].Does = "fail late"
					}
				}
				ctx := parallel.WithConfig(t.Context(), parallel.Jobs{Backend: backend})
				for name, run := range map[string]func() ([]int, error){
					"Parallel": func() ([]int, error) { return parallel.Parallel(ctx, row.jobs, delayed(makeItem, in)...) },
					"Map":      func() ([]int, error) { return parallel.Map(ctx, row.jobs, makeItem, in) },
					"Run": func() ([]int, error) {
						if row.jobs == 0 {
							return nil, errors.New("0 is that of the configuration") // see TestTheZeroJobsMakesOneCallAfterAnother
						}
						return parallel.Run(ctx, parallel.Jobs{N: row.jobs}, callsOf(in...))
					},
				} {
					got, err := run()
					checkOutcome(t, fmt.Sprintf("%s, %d jobs, %d calls of which %v fail", name, row.jobs, row.n, row.fails), got, err, row.outcome)
				}
			}
		})
	}
}

// checkOutcome compares what a run returns with joblib's outcome.
func checkOutcome(t *testing.T, what string, got []int, err error, outcome any) {
	t.Helper()
	text, isError := outcome.(string)
	switch {
	case isError && text == errZero:
		if err == nil || got != nil {
			t.Errorf("%s: %v, %v; want an error, as joblib's %q", what, got, err, text)
		}
	case isError:
		want := strings.Replace(text, "call", "item", 1)
		if err == nil || !strings.Contains(err.Error(), want) || got != nil {
			t.Errorf("%s: %v, %v; want nil and %q", what, got, err, want)
		}
	default:
		var want []string
		for _, v := range outcome.([]any) {
			want = append(want, fmt.Sprint(v))
		}
		if fmt.Sprint(got) != fmt.Sprint(want) || err != nil || got == nil {
			t.Errorf("%s: %v, %v; want %v", what, got, err, want)
		}
	}
}

// joblib's error for an unknown backend lists the known ones. So does ours,
// and knows joblib's names.
func TestAnUnknownBackendIsAnErrorThatListsTheKnown(t *testing.T) {
	table := readJoblib(t)
	_, names, _ := strings.Cut(table.UnknownBackend, "expected one of ")
	want := append(regexp.MustCompile(`\w+`).FindAllString(names, -1), "threads", "processes", `"nothing"`)
	for _, n := range []int{2, -1, 1, 0} { // joblib looks at the name with one job, too
		in, pulled := counting(3, double)
		got, err := parallel.Run(t.Context(), parallel.Jobs{N: n, Backend: "nothing"}, in)
		if err == nil || got != nil || pulled.Load() != 0 {
			t.Errorf("N %d: Run = %v, %v, with %d calls pulled; want an error before that", n, got, err, pulled.Load())
			continue
		}
		for _, name := range want {
			if !strings.Contains(err.Error(), name) {
				t.Errorf("N %d: the error is %q; want %s in it", n, err, name)
			}
		}
	}
}

package parallel_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gofutures/futures/executor"
	"github.com/gofutures/futures/executor/executortest"
	"github.com/gofutures/futures/parallel"
)

var times = regexp.MustCompile(`(elapsed|remaining): +[0-9.]+(s|min)`)

// joblibs returns joblib's answers, which are read once.
var joblibs = sync.OnceValue(func() (table joblib) {
	text, err := os.ReadFile("testdata/joblib.json")
	if err == nil {
		err = json.Unmarshal(text, &table)
	}
	if err != nil {
		panic(err)
	}
	return table
})

// printed returns the numbers of calls in the lines about progress, and whether all
// lines have joblib's form.
func printed(t *testing.T, text, backend string, jobs, workers int) (done []int) {
	t.Helper()
	form := joblibs().Lines
	lines := strings.SplitAfter(times.ReplaceAllString(text, "$1: T"), "\n")
	if want := fmt.Sprintf(form.Begin, jobs, backend, workers); lines[0] != want {
		t.Errorf("the first line is %q; want %q", lines[0], want)
	}
	for _, line := range lines[1 : len(lines)-1] {
		var n, total int
		_, _ = fmt.Sscanf(line, "[Parallel(n_jobs=%d)]: Done %d out of %d", new(int), &n, &total)
		switch {
		case line == fmt.Sprintf(form.Tasks, jobs, n), line == fmt.Sprintf(form.Of, jobs, n, total), line == fmt.Sprintf(form.End, jobs, n, n):
			done = append(done, n)
		default:
			t.Errorf("the line %q has not joblib's form", line)
		}
	}
	if n := len(done); n == 0 || !strings.Contains(lines[len(lines)-2], "finished") || strings.Count(text, "finished") != 1 {
		t.Errorf("printed is\n%s\nwant one line at the end that says that it is finished", text)
	}
	return done
}

// few are the numbers of batches after which there is a line, by joblib's formula.
var few = map[int][]int{
	1:  {49, 199},
	5:  {17, 71, 161, 287},
	10: {1, 4, 7, 12, 17, 24, 31, 40, 49, 60, 71, 84, 97, 112, 127, 144, 161, 180, 199, 220, 241, 264, 287},
}

// linesAfter returns the numbers of calls that lines have: those of batches of one
// call, and the last.
func linesAfter(calls, verbose int) (done []int) {
	for n := 1; n < calls; n++ {
		if verbose > 10 || slices.Contains(few[verbose], n) {
			done = append(done, n)
		}
	}
	return append(done, calls)
}

// No line is missing and none comes twice, whether one call is made after another or
// several end at the same moment, and wherever the number of calls comes from.
func TestEachLineOfVerboseIsPrintedOnce(t *testing.T) {
	for _, verbose := range []int{1, 5, 10, 11, 49, 100, 1 << 30} {
		for _, n := range []int{1, 2, 3, 8} {
			for _, calls := range []int{1, 2, 3, 4, 5, 9, 20, 101, 250} {
				for _, way := range []string{"Run", "Parallel", "Stream", "StreamUnordered"} {
					synctest.Test(t, func(t *testing.T) {
						var c tally
						var out strings.Builder
						j := parallel.Jobs{N: n, Verbose: verbose, Output: &out}
						in, _ := counting(calls, c.nap)
						var err error
						switch way {
						case "Run":
							_, err = parallel.Run(t.Context(), j, in)
						case "Parallel":
							_, err = parallel.Parallel(parallel.WithConfig(t.Context(), j), n, slices.Collect(in)...)
						case "Stream":
							_, err = executor.Collect(parallel.Stream(t.Context(), j, in))
						case "StreamUnordered":
							_, err = executor.Collect(parallel.StreamUnordered(t.Context(), j, in))
						}
						backend := "threads"
						if n == 1 {
							backend = "sequential"
						}
						got := printed(t, out.String(), backend, n, n)
						if want := linesAfter(calls, verbose); err != nil || !slices.Equal(got, want) {
							t.Errorf("%s, Verbose %d, N %d, %d calls: %v, lines after %v; want %v", way, verbose, n, calls, err, got, want)
						}
					})
				}
			}
		}
	}
}

// A batch has one line, in which its calls are together.
func TestVerboseHasALineForEachBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c tally
		var out strings.Builder
		in, _ := counting(12, c.nap)
		_, err := parallel.Run(t.Context(), parallel.Jobs{N: 2, BatchSize: 3, PreDispatch: parallel.PreDispatchAll, Verbose: 100, Output: &out}, in)
		if got := printed(t, out.String(), "threads", 2, 2); err != nil || !slices.Equal(got, []int{3, 6, 9, 12}) {
			t.Errorf("%v, lines after %v; want [3 6 9 12]", err, got)
		}
	})
}

// What remains is by the pace so far; before the source has ended, nobody knows.
func TestVerboseTellsWhatRemainsOnceItIsKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c tally
		var out strings.Builder
		_, err := parallel.Parallel(parallel.WithConfig(t.Context(), parallel.Jobs{Verbose: 50, Output: &out}), 1, delayed(c.nap, upTo(3))...)
		want := `[Parallel(n_jobs=1)]: Using backend sequential with 1 concurrent workers.
[Parallel(n_jobs=1)]: Done   1 out of   3 | elapsed:    1.0s remaining:    2.0s
[Parallel(n_jobs=1)]: Done   2 out of   3 | elapsed:    2.0s remaining:    1.0s
[Parallel(n_jobs=1)]: Done   3 out of   3 | elapsed:    3.0s finished
`
		if err != nil || out.String() != want {
			t.Errorf("%v, printed\n%s\nwant\n%s", err, &out, want)
		}
		out.Reset()
		in, _ := counting(2, c.nap)
		slow := func(yield func(parallel.Call[int]) bool) {
			for call := range in {
				if !yield(call) {
					return
				}
				time.Sleep(time.Minute)
			}
		}
		_, err = parallel.Run(t.Context(), parallel.Jobs{Verbose: 50, Output: &out}, slow)
		want = `[Parallel(n_jobs=1)]: Using backend sequential with 1 concurrent workers.
[Parallel(n_jobs=1)]: Done   1 tasks      | elapsed:    1.0s
[Parallel(n_jobs=1)]: Done   2 out of   2 | elapsed:  2.0min finished
`
		if err != nil || out.String() != want {
			t.Errorf("with a slow source: %v, printed\n%s\nwant\n%s", err, &out, want)
		}
	})
}

// A run that ends early has a line for all that was done.
func TestVerboseOfARunThatFailsHasItsLastLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fail := func(_ context.Context, n int) (int, error) {
			time.Sleep(time.Second)
			if n == 2 {
				return 0, errBoom
			}
			return n, nil
		}
		for name, run := range map[string]func(j parallel.Jobs, in iter.Seq[parallel.Call[int]]) error{
			"Run": func(j parallel.Jobs, in iter.Seq[parallel.Call[int]]) error {
				_, err := parallel.Run(t.Context(), j, in)
				return err
			},
			"Stream": func(j parallel.Jobs, in iter.Seq[parallel.Call[int]]) error {
				_, err := executor.Collect(parallel.Stream(t.Context(), j, in))
				return err
			},
		} {
			var out strings.Builder
			in, _ := counting(10, fail)
			err := run(parallel.Jobs{N: 1, Verbose: 20, Output: &out}, in)
			if !errors.Is(err, errBoom) || strings.Count(out.String(), "Done   3 tasks") != 1 || strings.Contains(out.String(), "finished") {
				t.Errorf("%s = %v, printed\n%s\nwant boom, and the third call's line last", name, err, &out)
			}
		}
	})
}

// The streams are joblib's: stdout from 50 on.
func TestVerboseGoesToStderrAndFromFiftyOnToStdout(t *testing.T) {
	for verbose, isOut := range map[int]bool{1: false, 49: false, 50: true, 100: true} {
		var err error
		out, errs := captured(t, func() {
			_, err = parallel.Run(t.Context(), parallel.Jobs{N: 1, Verbose: verbose}, callsOf(items("", "")...))
		})
		if err != nil || (out != "") != isOut || (errs != "") == isOut {
			t.Errorf("Verbose %d: %v, on stdout %q, on stderr %q", verbose, err, out, errs)
		}
	}
}

// named is an executor of somebody else's.
type named struct{ executor.Executor }

// What makes the calls has its name of this package.
func TestVerboseNamesTheBackendAsThisPackageDoes(t *testing.T) {
	executortest.NeedsProcesses(t)
	threads := &executor.ThreadPoolExecutor{MaxWorkers: 2}
	defer threads.Close()
	for name, j := range map[string]parallel.Jobs{
		"sequential": {N: 2, Backend: "sequential"},
		"threads":    {N: 2, Backend: "threading"},
		"processes":  {N: 2, Backend: "loky"},
		"named":      {N: 2, Executor: named{threads}},
	} {
		var out strings.Builder
		j.Verbose, j.Output = 1, &out
		if _, err := parallel.Run(t.Context(), j, callsOf(items("", "", "")...)); err != nil {
			t.Error(err)
		}
		workers := 2
		if name == "sequential" {
			workers = 1
		}
		if got := printed(t, out.String(), name, 2, workers); !slices.Equal(got, []int{3}) {
			t.Errorf("%s: lines after %v; want 3", name, got)
		}
	}
}

func TestWithoutVerboseNothingIsPrinted(t *testing.T) {
	for _, n := range []int{1, 2} {
		if _, err := parallel.Run(t.Context(), parallel.Jobs{N: n, Output: panicking{}}, callsOf(items(make([]string, 30)...)...)); err != nil {
			t.Error(err)
		}
	}
}

type panicking struct{}

func (panicking) Write(p []byte) (int, error) { panic(fmt.Sprintf("printed %q", p)) }

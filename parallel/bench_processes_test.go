package parallel_test

import (
	"bufio"
	"bytes"
	"context"
	"flag"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gofutures/futures/executor"
	"github.com/gofutures/futures/parallel"
)

var benchPython = flag.String("python", "/usr/bin/python3", "the Python with joblib with which BenchmarkProcesses compares; \"\": none")

func init() { executor.Register(oneMore) }

// BenchmarkProcesses has tiny calls in two worker processes, and the same calls of
// joblib's loky, in turn:
//
//	Parallel(n_jobs=2)(delayed(one_more)(i) for i in range(n))
//
// A line has the cost of a call in both, the ratio of the first to the second, and
// the ratio that is the goal: at most that. They are medians of the rounds:
//
//	go test -run '^$' -bench Processes -benchtime 5x ./parallel
//
// loky's workers live on after a run. Ours do with Executor; with Backend they are
// started for each run, which is in the figure. Without joblib, there is the cost
// of this package only.
func BenchmarkProcesses(b *testing.B) {
	python, noPython := findPython()
	ctx := context.Background()
	ex := &executor.ProcessPoolExecutor{MaxWorkers: 2}
	defer ex.Close()
	const n = 1_000_000
	in := upTo(n)
	for _, row := range []struct {
		name string
		run  func() ([]int, error)
	}{
		{"Run/Backend", func() ([]int, error) {
			return parallel.Run(ctx, parallel.Jobs{N: 2, Backend: "processes"}, source(oneMore, in))
		}},
		{"Run/Executor", func() ([]int, error) {
			return parallel.Run(ctx, parallel.Jobs{N: 2, Executor: ex}, source(oneMore, in))
		}},
		{"Map/Backend", func() ([]int, error) {
			return parallel.Map(parallel.WithConfig(ctx, parallel.Jobs{Backend: "processes"}), 2, oneMore, in)
		}},
		{"Map/Executor", func() ([]int, error) {
			return parallel.Map(parallel.WithConfig(ctx, parallel.Jobs{Executor: ex}), 2, oneMore, in)
		}},
	} {
		b.Run(row.name, func(b *testing.B) {
			ours := func() float64 { return perCall(b, n, row.run) }
			if noPython == nil {
				both(b, 1.0/40, ours, answers(b, python, fmt.Sprint("calls ", n)), "ns/call", "python-ns/call")
				return
			}
			b.Logf("joblib is left out: %v", noPython)
			var costs []float64
			for b.Loop() {
				costs = append(costs, ours())
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(median(costs), "ns/call")
		})
	}
}

// answers starts parallel_bench.py, and returns what has it do the work once and
// returns its answer.
func answers(b *testing.B, python, work string) func() float64 {
	var stderr bytes.Buffer
	cmd := exec.Command(python, filepath.Join("testdata", "python", "parallel_bench.py"))
	cmd.Stderr = &stderr
	in, errIn := cmd.StdinPipe()
	out, errOut := cmd.StdoutPipe()
	for _, err := range []error{errIn, errOut, cmd.Start()} {
		if err != nil {
			b.Fatal(err)
		}
	}
	b.Cleanup(func() {
		_ = in.Close() // it ends with its input
		_ = cmd.Wait()
	})
	lines := bufio.NewReader(out)
	return func() (answer float64) {
		_, err := fmt.Fprintln(in, work)
		if err == nil {
			_, err = fmt.Fscanln(lines, &answer)
		}
		if err != nil {
			_ = in.Close()
			b.Fatalf("%v does not answer to %q: %v, %v; its stderr:\n%s", cmd.Args, work, err, cmd.Wait(), &stderr)
		}
		return answer
	}
}

// findPython returns the interpreter itself, if it has joblib: what is on the PATH
// may be a script that looks for it.
func findPython() (string, error) {
	out, err := exec.Command(*benchPython, "-c", "import sys, joblib; print(sys.executable)").Output()
	return strings.TrimSpace(string(out)), err
}

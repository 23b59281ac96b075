//go:build unix

package executor_test

import (
	"bufio"
	"bytes"
	"context"
	"flag"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gofutures/futures/executor"
)

var benchPython = flag.String("python", "python3", "the CPython with which BenchmarkProcess compares; \"\": none")

// labelled is an argument that is more than a number.
type labelled struct {
	Number int
	Label  string
}

func init() {
	executor.Register(oneMoreLabelled)
	executor.Register(weigh)
	executor.Register(mirror)
}

func oneMoreLabelled(_ context.Context, x labelled) (labelled, error) {
	return labelled{x.Number + 1, x.Label}, nil
}

// weigh looks at each page of data.
func weigh(_ context.Context, data []byte) (sum int, err error) {
	for i := 0; i < len(data); i += 4096 {
		sum += int(data[i])
	}
	return sum, nil
}

func mirror(_ context.Context, data []byte) ([]byte, error) { return data, nil }

// BenchmarkProcess measures a ProcessPoolExecutor of two workers, and the same
// work in CPython with two forked workers, in turn. A line has the cost of both,
// the ratio of the first to the second, and the ratio that is the goal: at most
// that. They are medians of the rounds:
//
//	go test -run '^$' -bench Process -benchtime 7x ./executor
//
// Submit is against concurrent.futures.ProcessPoolExecutor, and MapSlice against
// multiprocessing.Pool.map and its own choice of chunks. Without CPython, there
// is the cost of the library only.
func BenchmarkProcess(b *testing.B) {
	python, noPython := findPython()
	ints, structs := numbers(1_000_000), labels(100_000)
	block := make([]byte, 64<<20)
	for _, row := range []struct {
		name string
		unit string
		goal float64
		peer string // what process_bench.py is to do, and how often
		ours func(*processBench) (round func() float64)
	}{
		{"Submit/all", "ns/call", 1.0 / 20, "submit 5000", func(p *processBench) func() float64 { return p.submitAll(100_000) }},
		{"Submit/one at a time", "ns/call", 0.2, "one 1000", func(p *processBench) func() float64 { return submitEach(p, 1000, oneMore, 1) }},
		{"Submit/64 MiB in", "ns/call", 0.1, "big_argument 3", func(p *processBench) func() float64 { return warm(submitEach(p, 3, weigh, block)) }},
		{"Submit/64 MiB in, after a pause", "ns/call", 0.1, "big_argument 1", func(p *processBench) func() float64 { return afterPause(submitEach(p, 1, weigh, block)) }},
		{"Submit/64 MiB in and out", "ns/call", 0.1, "big_both 3", func(p *processBench) func() float64 { return warm(submitEach(p, 3, mirror, block)) }},
		{"MapSlice/100,000 numbers", "ns/item", 1.0 / 8, "map_numbers 100000", func(p *processBench) func() float64 { return mapAll(p, oneMore, ints[:100_000]) }},
		{"MapSlice/1,000,000 numbers", "ns/item", 1.0 / 8, "map_numbers 1000000", func(p *processBench) func() float64 { return mapAll(p, oneMore, ints) }},
		{"MapSlice/100,000 structs against tuples", "ns/item", 1.0 / 2, "map_tuples 100000", func(p *processBench) func() float64 { return mapAll(p, oneMoreLabelled, structs) }},
		{"MapSlice/100,000 structs against dicts", "ns/item", 1.0 / 2, "map_dicts 100000", func(p *processBench) func() float64 { return mapAll(p, oneMoreLabelled, structs) }},
		{"new pool/first result", "ns/pool", 0.5, "cold_first 5", func(p *processBench) func() float64 { return p.inProgram("cold_first 5") }},
		{"new pool/a result of each worker", "ns/pool", 0.5, "cold_both 5", func(p *processBench) func() float64 { return p.inProgram("cold_both 5") }},
		{"idle worker", "B/worker", 0.5, "idle_memory 1", func(p *processBench) func() float64 { return p.inProgram("idle_memory 1") }},
	} {
		b.Run(row.name, func(b *testing.B) {
			p := newProcessBench(b)
			ours, theirs := row.ours(p), func() float64 { return 0 }
			if noPython != nil {
				b.Logf("CPython is left out: %v", noPython)
			} else {
				script := filepath.Join("testdata", "python", "process_bench.py")
				theirs = p.answers(row.peer, exec.Command(python, script, p.fifo))
			}
			ours() // the workers start, and it is learnt how long a call takes
			theirs()
			var costs, peers, ratios []float64
			for b.Loop() {
				cost, peer := ours(), theirs()
				costs, peers, ratios = append(costs, cost), append(peers, peer), append(ratios, cost/peer)
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(median(costs), row.unit)
			if noPython == nil {
				b.ReportMetric(median(peers), "python-"+row.unit)
				b.ReportMetric(median(ratios), "ratio")
				b.ReportMetric(row.goal, "ratio-goal")
			}
		})
	}
}

// processBench is what the rounds of a benchmark share.
type processBench struct {
	*testing.B
	ex   *executor.ProcessPoolExecutor
	fifo string
}

func newProcessBench(b *testing.B) *processBench {
	p := &processBench{B: b, ex: &executor.ProcessPoolExecutor{MaxWorkers: 2}, fifo: filepath.Join(b.TempDir(), "fifo")}
	b.Cleanup(func() { _ = p.ex.Close() })
	if err := syscall.Mkfifo(p.fifo, 0o600); err != nil {
		b.Fatal(err)
	}
	return p
}

// nanoseconds returns how long each of the n items takes that f makes.
func nanoseconds(n int, f func()) float64 {
	begin := time.Now()
	f()
	return float64(time.Since(begin).Nanoseconds()) / float64(n)
}

func (p *processBench) submitAll(n int) func() float64 {
	ctx := context.Background()
	return func() float64 {
		return nanoseconds(n, func() {
			futures := make([]*executor.Future[int], n)
			for i := range futures {
				futures[i] = executor.Submit(ctx, p.ex, oneMore, i)
			}
			for i, f := range futures {
				if v, err := f.Result(ctx); v != i+1 || err != nil {
					p.Fatalf("Result = %d, %v; want %d, nil", v, err, i+1)
				}
			}
		})
	}
}

func submitEach[In, Out any](p *processBench, n int, fn executor.Func[In, Out], in In) func() float64 {
	ctx := context.Background()
	return func() float64 {
		return nanoseconds(n, func() {
			for range n {
				if _, err := executor.Submit(ctx, p.ex, fn, in).Result(ctx); err != nil {
					p.Fatal(err)
				}
			}
		})
	}
}

// warm is for work that is faster when it has just been done.
func warm(do func() float64) func() float64 {
	return func() float64 {
		do()
		return do()
	}
}

// afterPause is for work that is slower when it has not been done for a while.
func afterPause(do func() float64) func() float64 {
	return func() float64 {
		time.Sleep(3 * time.Second / 2)
		return do()
	}
}

func mapAll[T any](p *processBench, fn executor.Func[T, T], in []T) func() float64 {
	return func() float64 {
		return nanoseconds(len(in), func() {
			if _, err := executor.MapSlice(context.Background(), p.ex, fn, in); err != nil {
				p.Fatal(err)
			}
		})
	}
}

// inProgram has testdata/newpool do the work.
func (p *processBench) inProgram(work string) func() float64 {
	program := filepath.Join(p.TempDir(), "newpool")
	if out, err := exec.Command("go", "build", "-o", program, "./testdata/newpool").CombinedOutput(); err != nil {
		p.Fatalf("go build: %v\n%s", err, out)
	}
	return p.answers(work, exec.Command(program, p.fifo))
}

// answers starts a program, and returns what has it do the work once and returns
// its answer.
func (p *processBench) answers(work string, cmd *exec.Cmd) func() float64 {
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	in, errIn := cmd.StdinPipe()
	out, errOut := cmd.StdoutPipe()
	for _, err := range []error{errIn, errOut, cmd.Start()} {
		if err != nil {
			p.Fatal(err)
		}
	}
	p.Cleanup(func() {
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
			p.Fatalf("%v does not answer to %q: %v, %v; its stderr:\n%s", cmd.Args, work, err, cmd.Wait(), &stderr)
		}
		return answer
	}
}

// findPython returns the interpreter itself: what is on the PATH may be a
// script that looks for it.
func findPython() (string, error) {
	out, err := exec.Command(*benchPython, "-c", "import sys; print(sys.executable)").Output()
	return strings.TrimSpace(string(out)), err
}

func labels(n int) []labelled {
	out := make([]labelled, n)
	for i := range out {
		out[i] = labelled{i, fmt.Sprint("item ", i)}
	}
	return out
}

func median(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}

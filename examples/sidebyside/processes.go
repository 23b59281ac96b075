package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/gofutures/futures/executor"
	mppool "github.com/gofutures/futures/pool"
)

// This library's processes, beside CPython's.

// processWorkers is the number of processes in the table.
const processWorkers = 2

// record is an argument that is more than a number: what is a tuple or a dict in
// Python.
type record struct {
	Number int
	Label  string
}

func init() {
	executor.Register(callIn)
	executor.Register(callRecord)
	executor.Register(weigh)
	executor.Register(weighShared)
	executor.Register(mirror)
}

func callRecord(_ context.Context, r record) (record, error) {
	return record{r.Number + 1, r.Label}, nil
}

// weigh looks at each page of data.
func weigh(_ context.Context, data []byte) (sum int, err error) {
	for i := 0; i < len(data); i += 4096 {
		sum += int(data[i])
	}
	return sum, nil
}

func weighShared(ctx context.Context, s *executor.Shared[byte]) (int, error) {
	return weigh(ctx, s.Slice())
}

func mirror(_ context.Context, data []byte) ([]byte, error) { return data, nil }

// processRows are the rows of what runs in other processes.
func processRows(s sizes, ps *pythons) []row {
	records := make([]record, s.records)
	for i := range records {
		records[i] = record{i, fmt.Sprint("item ", i)}
	}
	numbers := itemsOf(s.numbers, 0)
	block := bytes.Repeat([]byte{1}, s.big)
	const w = processWorkers
	submit := ps.all("", order{"submit", w, s.pythonSubmit, 0})
	big := ps.all("", order{"big_argument", w, s.bigCalls, s.big})
	var mapped []contender
	if j := ps.running[pythonJoblib]; j != nil && strings.Contains(j.version, "numpy") {
		mapped = append(mapped, ps.contender(pythonJoblib, ", memmap of numpy", order{"numpy_argument", w, s.bigCalls, s.big}))
	}

	rows := []row{
		row{
			name: "processes: submit and result", unit: perCall,
			ours:  processSubmit(w, itemsOf(s.processSubmit, 0)),
			peers: submit,
		}.withGoal(pythonExecutor, 1.0/40),
		row{
			name: "processes: submit and result, nothing sent ahead", unit: perCall,
			ours:  processOneByOne(w, itemsOf(s.pythonSubmit, 0)),
			peers: submit,
		}.withGoal(pythonExecutor, 1.0/4),
		row{
			name: "processes: one call at a time", unit: perCall,
			ours:  processEach(w, s.processOne, callIn, 1, func(v int64) bool { return v == 2 }),
			peers: ps.all("", order{"one", w, s.pythonOne, 0}),
		}.withGoal(pythonExecutor, 0.12),
		row{
			name: "processes: map, " + count(s.records) + " records", unit: perItem,
			ours: processMap(w, callRecord, records, func(i int, r record) bool { return r == record{i + 1, records[i].Label} }),
			peers: slices.Concat(
				ps.all(", tuples", order{"map_tuples", w, s.records, 0}),
				ps.all(", dicts", order{"map_dicts", w, s.records, 0})),
		}.withGoal(pythonPool+", tuples", 1.0/4).withGoal(pythonPool+", dicts", 1.0/4),
		row{
			name: "processes: map, " + count(s.numbers) + " numbers", unit: perItem,
			ours:  processMap(w, callIn, numbers, func(i int, v int64) bool { return v == numbers[i]+1 }),
			peers: ps.all("", order{"map_numbers", w, s.numbers, 0}),
		}.withGoal(pythonPool, 1.0/10),
		row{
			name: "processes: argument of " + mebibytes(s.big), unit: perCall,
			ours:  processBig(w, s.bigCalls, weigh, block, func(v int) bool { return v == (s.big+4095)/4096 }),
			peers: slices.Concat(big, mapped),
		}.withGoal(pythonExecutor, 0.08),
		row{
			name: "processes: argument and result of " + mebibytes(s.big), unit: perCall,
			ours:  processBig(w, s.bigCalls, mirror, block, func(v []byte) bool { return isWhole(v, s.big) }),
			peers: ps.all("", order{"big_both", w, s.bigCalls, s.big}),
		}.withGoal(pythonExecutor, 0.1),
		row{
			name: "processes: start of two workers", unit: perStart,
			ours:  newPool("start", s.starts),
			peers: ps.fresh(order{"start", w, s.starts, 0}),
		}.withGoal(pythonExecutor, 0.5),
	}
	if runtime.GOOS == "linux" { // where memory can be shared, and which says how much is
		rows = append(rows, row{
			name: "processes: argument of " + mebibytes(s.big) + ", made in shared memory", unit: perCall,
			ours:  processShared(w, s.bigCalls, block),
			peers: mapped,
		}.withGoal(pythonJoblib+", memmap of numpy", 0.04), row{
			name: "processes: memory of an idle worker", unit: bytesPerWorker,
			ours:  newPool("idle", 1),
			peers: ps.fresh(order{"idle", w, 1, 0}),
		}.withGoal(pythonExecutor, 0.4))
	}
	return rows
}

// onProcesses is a contender that measures with a pool of processes.
func onProcesses(name string, workers int, measure func(context.Context, *executor.ProcessPoolExecutor) (cost, error)) contender {
	return onPool(name, func() *executor.ProcessPoolExecutor { return &executor.ProcessPoolExecutor{MaxWorkers: workers} }, measure)
}

func onPool(name string, open func() *executor.ProcessPoolExecutor, measure func(context.Context, *executor.ProcessPoolExecutor) (cost, error)) contender {
	return contender{name, func(context.Context) (leaf, error) {
		ex := open()
		return leaf{
			func(ctx context.Context) (cost, error) { return measure(ctx, ex) },
			func() { _ = ex.Close() },
		}, nil
	}}
}

func processSubmit(workers int, items []int64) contender {
	return onProcesses("futures", workers, submitsOf(items))
}

// processOneByOne has no call sent to a worker that has one.
func processOneByOne(workers int, items []int64) contender {
	return onPool("futures, NoPrefetch", func() *executor.ProcessPoolExecutor {
		return &executor.ProcessPoolExecutor{MaxWorkers: workers, NoPrefetch: true}
	}, submitsOf(items))
}

// submitsOf submits all items, then takes their results.
func submitsOf(items []int64) func(context.Context, *executor.ProcessPoolExecutor) (cost, error) {
	out, futures := make([]int64, len(items)), make([]*executor.Future[int64], len(items))
	return func(_ context.Context, ex *executor.ProcessPoolExecutor) (cost, error) {
		clear(out)
		c, err := timed(len(items), func() error { return submitAll(ex, items, out, futures) })
		if err == nil {
			err = checkResults(items, out)
		}
		return c, err
	}
}

// processEach makes n calls, each when the one before it has ended.
func processEach[In, Out any](workers, n int, fn executor.Func[In, Out], in In, isRight func(Out) bool) contender {
	return onProcesses("futures", workers, func(ctx context.Context, ex *executor.ProcessPoolExecutor) (cost, error) {
		var v Out
		return timed(n, func() (err error) {
			for range n {
				if v, err = executor.Submit(ctx, ex, fn, in).Result(ctx); err != nil {
					return err
				} else if !isRight(v) {
					return fmt.Errorf("result %v of %v", v, in)
				}
			}
			return nil
		})
	})
}

// processBig makes n calls with a big argument, after as many that are not counted:
// memory that has not been used for a while is given back. No result is kept.
func processBig[In, Out any](workers, n int, fn executor.Func[In, Out], in In, isRight func(Out) bool) contender {
	return onProcesses("futures", workers, func(ctx context.Context, ex *executor.ProcessPoolExecutor) (cost, error) {
		var sum cost
		for i := range 2 * n {
			var v Out
			c, err := timed(n, func() (err error) {
				v, err = executor.Submit(ctx, ex, fn, in).Result(ctx)
				return err
			})
			if err == nil && !isRight(v) {
				err = errors.New("the result is wrong")
			}
			if err != nil {
				return cost{}, err
			}
			if i >= n {
				sum.value, sum.allocs, sum.bytes = sum.value+c.value, sum.allocs+c.allocs, sum.bytes+c.bytes
			}
		}
		return sum, nil
	})
}

// processShared is processBig with an argument that is in shared memory from the start.
func processShared(workers, n int, block []byte) contender {
	return contender{"futures, Shared", func(ctx context.Context) (leaf, error) {
		s, err := executor.NewShared[byte](len(block))
		if err != nil {
			return leaf{}, err
		}
		copy(s.Slice(), block)
		calls, err := processBig(workers, n, weighShared, s, func(v int) bool { return v == (len(block)+4095)/4096 }).open(ctx)
		return leaf{calls.measure, func() {
			calls.close()
			_ = s.Close()
		}}, err
	}}
}

// isWhole looks at each page of what is to be a block of so many ones.
func isWhole(data []byte, n int) bool {
	sum, _ := weigh(context.Background(), data)
	return len(data) == n && sum == (n+4095)/4096
}

func processMap[T any](workers int, fn executor.Func[T, T], items []T, isRight func(int, T) bool) contender {
	return contender{"pool.Map", func(context.Context) (leaf, error) {
		p := mppool.Processes(workers)
		return leaf{func(ctx context.Context) (cost, error) {
			var out []T
			c, err := timed(len(items), func() (err error) {
				out, err = mppool.Map(ctx, p, fn, items)
				return err
			})
			for i, v := range out {
				if err == nil && !isRight(i, v) {
					err = fmt.Errorf("result %d is %v", i, v)
				}
			}
			return c, err
		}, func() { _ = p.Close() }}, nil
	}}
}

// newPool has the small program of the folder newpool start its workers: those of this
// program would set up the peers and the plots too.
func newPool(work string, n int) contender {
	return contender{"futures", func(ctx context.Context) (leaf, error) {
		folder, err := os.MkdirTemp("", "sidebyside-*")
		if err != nil {
			return leaf{}, err
		}
		program := filepath.Join(folder, "newpool.exe")
		build := exec.CommandContext(ctx, "go", "build", "-o", program, "github.com/gofutures/futures/examples/sidebyside/newpool")
		if out, err := build.CombinedOutput(); err != nil {
			_ = os.RemoveAll(folder)
			if ctx.Err() != nil {
				return leaf{}, ctx.Err()
			}
			return leaf{}, &leftOutError{fmt.Sprintf("a small program for it cannot be built, which is done in this module's folder: %v: %s", err, firstLine(string(out)))}
		}
		return leaf{func(ctx context.Context) (cost, error) {
			out, err := exec.CommandContext(ctx, program, work, strconv.Itoa(n)).Output()
			var exit *exec.ExitError
			if errors.As(err, &exit) {
				err = fmt.Errorf("%w: %s", err, firstLine(string(exit.Stderr)))
			}
			if err != nil {
				return cost{}, err
			}
			value, err := strconv.ParseFloat(strings.TrimSpace(string(out)), 64)
			return uncounted(value), err
		}, func() { _ = os.RemoveAll(folder) }}, nil
	}}
}

// A leftOutError says why a row cannot be measured here.
type leftOutError struct{ why string }

func (e *leftOutError) Error() string { return e.why }

func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return line
}

func mebibytes(n int) string { return fmt.Sprintf("%d MiB", n>>20) }

// Command newpool starts pools of two worker processes, and prints what that costs.
// It is a program of its own because each worker sets up all packages of its program,
// and one that measures has many.
//
//	newpool start 5   the nanoseconds until both workers have answered, mean of 5
//	newpool idle 1    the bytes of memory of a worker that has made a call: its
//	                  proportional set size, in which what is shared counts in part
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/gofutures/futures/executor"
)

func init() { executor.Register(nap) }

// nap returns who has slept. While one worker does, the other takes the next call.
func nap(_ context.Context, d time.Duration) (pid int, err error) {
	time.Sleep(d)
	return os.Getpid(), nil
}

const napTime = 50 * time.Millisecond

func main() {
	executor.WorkerMain()
	answer, err := measure(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "newpool:", err)
		os.Exit(1)
	}
	fmt.Println(answer)
}

func measure(args []string) (float64, error) {
	if len(args) != 2 || args[0] != "start" && args[0] != "idle" {
		return 0, fmt.Errorf("arguments %q; want start or idle, and how often", args)
	}
	n, err := strconv.Atoi(args[1])
	if err != nil {
		return 0, err
	}
	sum := 0.0
	for range n {
		v, err := newPool(args[0] == "idle")
		if err != nil {
			return 0, err
		}
		sum += v
	}
	return sum / float64(n), nil
}

// newPool starts a pool, and returns how long that took, or what memory a worker has.
func newPool(memory bool) (float64, error) {
	for long := napTime; ; long *= 2 {
		answer, err := meet(long, memory)
		if !errors.Is(err, errAlone) || long > 10*napTime {
			return answer, err
		}
	}
}

// errAlone says that a worker was done with one call before the other worker was there.
var errAlone = errors.New("one worker has made both calls")

// meet has two calls sleep, so that each worker makes one.
func meet(long time.Duration, memory bool) (float64, error) {
	begin := time.Now()
	ex := &executor.ProcessPoolExecutor{MaxWorkers: 2}
	defer ex.Close()
	ctx := context.Background()
	pids, err := executor.Gather(ctx, executor.Submit(ctx, ex, nap, long), executor.Submit(ctx, ex, nap, long))
	spent := time.Since(begin) - long
	switch {
	case err != nil:
		return 0, err
	case pids[0] == pids[1]:
		return 0, errAlone
	case !memory:
		return float64(spent), nil
	}
	sum := 0.0
	for _, pid := range pids {
		b, err := proportionalSetSize(pid)
		if err != nil {
			return 0, err
		}
		sum += b
	}
	return sum / float64(len(pids)), nil
}

// proportionalSetSize asks the kernel, which on Linux says so.
func proportionalSetSize(pid int) (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(text), "\nPss:")
	var kib float64
	if _, err := fmt.Sscan(rest, &kib); err != nil {
		return 0, fmt.Errorf("no Pss in %q: %w", text, err)
	}
	return kib * 1024, nil
}

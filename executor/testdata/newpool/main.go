//go:build unix

// A small program that starts pools of two workers, and measures that as
// process_bench.py does. A test binary is no measure for it: each worker would
// set up the packages of the tests.
//
// It reads lines "work n" and answers each with a number: nanoseconds for one
// of n pools, or bytes.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"strings"
	"time"

	"github.com/gofutures/futures/executor"
)

// meeting is where two calls wait for each other: a named pipe, which one opens
// to read and one to write.
type meeting struct {
	Fifo string
	Mode int
}

func init() {
	executor.Register(meet)
	executor.Register(self)
}

func self(context.Context, struct{}) (pid int, err error) { return os.Getpid(), nil }

func meet(_ context.Context, m meeting) (pid int, err error) {
	f, err := os.OpenFile(m.Fifo, m.Mode, 0)
	if err != nil {
		return 0, err
	}
	return os.Getpid(), f.Close()
}

func main() {
	executor.WorkerMain()
	works := map[string]func(n int) (float64, error){"cold_first": coldFirst, "cold_both": coldBoth, "idle_memory": idleMemory}
	for {
		var work string
		var n int
		if _, err := fmt.Scanln(&work, &n); err == io.EOF {
			return
		} else if err != nil {
			log.Fatal(err)
		}
		answer, err := works[work](n)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(answer)
	}
}

// bothMeet lets both workers make a call, and returns who they are.
func bothMeet(ex executor.Executor) ([]int, error) {
	ctx := context.Background()
	reader := executor.Submit(ctx, ex, meet, meeting{os.Args[1], os.O_RDONLY})
	writer := executor.Submit(ctx, ex, meet, meeting{os.Args[1], os.O_WRONLY})
	pids, err := executor.Gather(ctx, reader, writer)
	if err == nil && pids[0] == pids[1] {
		err = fmt.Errorf("worker %d has met itself", pids[0])
	}
	return pids, err
}

// coldFirst measures from nothing to a result of the first worker.
func coldFirst(n int) (float64, error) {
	return cold(n, func(ex executor.Executor) ([]int, error) {
		return executor.Gather(context.Background(), executor.Submit(context.Background(), ex, self, struct{}{}))
	})
}

// coldBoth measures from nothing to a result of each worker.
func coldBoth(n int) (float64, error) { return cold(n, bothMeet) }

func cold(n int, firstResults func(executor.Executor) ([]int, error)) (float64, error) {
	total := time.Duration(0)
	for range n {
		begin := time.Now()
		ex := &executor.ProcessPoolExecutor{MaxWorkers: 2}
		_, err := firstResults(ex)
		total += time.Since(begin)
		_ = ex.Close()
		if err != nil {
			return 0, err
		}
	}
	return float64(total) / float64(n), nil
}

// idleMemory returns the proportional set size of a worker that has made a
// call: what it shares with others counts in part.
func idleMemory(int) (float64, error) {
	ex := &executor.ProcessPoolExecutor{MaxWorkers: 2}
	defer ex.Close()
	pids, err := bothMeet(ex)
	sum := 0.0
	for _, pid := range pids {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		if err != nil {
			return 0, err
		}
		_, rest, _ := strings.Cut(string(text), "\nPss:")
		var kB float64
		if _, err := fmt.Sscan(rest, &kB); err != nil {
			return 0, fmt.Errorf("no Pss in %q: %w", text, err)
		}
		sum += kB * 1024
	}
	return sum / float64(len(pids)), err
}

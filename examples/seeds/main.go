// Command seeds shows short Python programs, each above the Go function that
// replaces it, and runs those functions.
//
//	go run ./examples/seeds
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"

	"github.com/gofutures/futures/executor"
)

// seeds is the table: one Python snippet is one line.
var seeds = []seed{
	{"ThreadPoolExecutor and map", mapWords},
	{"sum of a map", sumWords},
	{"submit and as_completed", submitWords},
	{"Thread, start and join", startAndJoin},
	{"wait for FIRST_COMPLETED", firstOfAll},
	{"multiprocessing.pool.ThreadPool, map_async and apply", poolApply},
	{"ThreadPool and imap", poolImap},
	{"Parallel and delayed", parallelDelayed},
	{"Parallel for a list", parallelMap},
	{"Memory.cache", parallelCache},
	{"ProcessPoolExecutor and map", mapInProcesses},
	{"multiprocessing.Pool, map, close and join", poolMap},
	{"Parallel as a generator", parallelStream},
	{"SharedMemory", sharedMemory},
}

// seed is a Python snippet in Go. It prints to out what the snippet prints.
type seed struct {
	title string
	run   func(ctx context.Context, out io.Writer) error
}

// main begins with WorkerMain, as a Python program that has worker processes
// begins with if __name__ == "__main__".
func main() {
	executor.WorkerMain()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := runAll(ctx, os.Stdout, seeds)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "seeds:", err)
		os.Exit(1)
	}
}

func runAll(ctx context.Context, out io.Writer, seeds []seed) error {
	for _, s := range seeds {
		fmt.Fprintf(out, "%s\n", s.title)
		if err := s.run(ctx, out); err != nil {
			return fmt.Errorf("%s: %w", s.title, err)
		}
	}
	return nil
}

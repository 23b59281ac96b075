package main

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/gofutures/futures/executor"
	"github.com/gofutures/futures/executor/executortest"
)

func TestMain(m *testing.M) {
	executor.WorkerMain()
	goleak.VerifyTestMain(m)
}

// threads are the seeds whose time may be fake, processes the others.
var threads, processes = seeds[:len(seeds)-4], seeds[len(seeds)-4:]

// What the Python snippets print.
const (
	printedByThreads = `ThreadPoolExecutor and map
8
3
6
sum of a map
17
submit and as_completed
'': no word
'owl': 3
'gopher': 6
'elephant': 8
Thread, start and join
started
6
wait for FIRST_COMPLETED
3
2 pending
multiprocessing.pool.ThreadPool, map_async and apply
6
[8 3]
ThreadPool and imap
8
no word
3
Parallel and delayed
[8 3 6]
Parallel for a list
[8 3 6]
Memory.cache
8 8
`
	printedByProcesses = `ProcessPoolExecutor and map
8
3
6
multiprocessing.Pool, map, close and join
[8 3 6]
Parallel as a generator
8
3
6
SharedMemory
500000
`
)

func TestSeedsPrintWhatPythonPrints(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		start := time.Now()
		err := runAll(t.Context(), &out, threads)
		if got, want := out.String(), printedByThreads; err != nil || got != want {
			t.Errorf("runAll = %v\n got:\n%s\nwant:\n%s", err, got, want)
		}
		// The longest word of each, and the shortest where the first result is all.
		if took, want := time.Since(start), (80+80+80+60+30+80+80+80+80+80)*time.Millisecond; took != want {
			t.Errorf("runAll took %v, want %v: the words at the same time, and no wait for those that were cancelled", took, want)
		}
	})
}

func TestSeedsOfProcessesPrintWhatPythonPrints(t *testing.T) {
	executortest.NeedsProcesses(t)
	var out bytes.Buffer
	err := runAll(t.Context(), &out, processes)
	if got, want := out.String(), printedByProcesses; err != nil || got != want {
		t.Errorf("runAll = %v\n got:\n%s\nwant:\n%s", err, got, want)
	}
}

func TestEverySeedEndsWhenCtxDoes(t *testing.T) {
	for _, s := range threads {
		t.Run(s.title, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { checkEndsWithCtx(t, s) })
		})
	}
	for _, s := range processes {
		t.Run(s.title, func(t *testing.T) {
			executortest.NeedsProcesses(t)
			checkEndsWithCtx(t, s)
		})
	}
}

func checkEndsWithCtx(t *testing.T, s seed) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	err := s.run(ctx, new(bytes.Buffer))
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("run = %v, want context.DeadlineExceeded", err)
	}
}

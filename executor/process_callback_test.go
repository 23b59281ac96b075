package executor_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gofutures/futures/executor"
)

// Callbacks that block hold up neither the reader of a worker nor other
// callbacks.
func TestCallbacksThatBlockHoldUpNoWorker(t *testing.T) {
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 2})
	gate := newGate()
	const callbacks = 20
	fs := make([]*executor.Future[int], callbacks)
	called := make(chan int, callbacks)
	for i := range fs {
		fs[i] = executor.Submit(t.Context(), ex, thrice, i)
		go fs[i].OnDone(func(*executor.Future[int]) { <-gate; called <- i }) // which calls it, if the call has ended
	}
	for i := range 200 {
		if n, err := endOf(t, executor.Submit(t.Context(), ex, thrice, i)); n != 3*i || err != nil {
			t.Fatalf("call %d while callbacks block = %d, %v; want %d, nil", i, n, err, 3*i)
		}
	}
	if died := mustDie(t, do(ex, deed{Verb: "exit", N: 3})); died.ExitCode != 3 {
		t.Errorf("a death while callbacks block: %v; want exit code 3", died)
	}
	gate.open()
	for n := range callbacks {
		select {
		case <-called:
		case <-time.After(longEnough):
			t.Fatalf("%d of %d callbacks were called; Stats = %+v, the futures are %v", n, callbacks, ex.Stats(), fs)
		}
	}
}

// Each callback of a call that crashes submits the next that crashes, as in
// loky's test_in_callback_submit_with_crash and test_callback_crash_on_submit.
func TestCallbacksOfCallsThatCrashMaySubmit(t *testing.T) {
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 2})
	const chain = 6
	codes := make(chan int, chain)
	good := make(chan int, chain)
	var calls atomic.Int64
	var crash func(code int)
	crash = func(code int) {
		f := do(ex, deed{Verb: "exit", N: code})
		f.OnDone(func(f *executor.Future[told]) {
			calls.Add(1)
			_, err := f.Result(ended())
			died, ok := errors.AsType[*executor.WorkerDiedError](err)
			if !ok {
				t.Errorf("a call that ends its process: %v; want a *WorkerDiedError", err)
				died = new(executor.WorkerDiedError)
			}
			n, err := executor.Submit(context.Background(), ex, thrice, code).Result(context.Background())
			if err != nil {
				t.Errorf("a call from the callback of one that crashed: %v; want no error", err)
			}
			good <- n
			if code < chain {
				crash(code + 1)
			}
			codes <- died.ExitCode
		})
	}
	crash(1)
	var gotCodes, gotGood []int
	for range chain {
		select {
		case n := <-codes:
			gotCodes, gotGood = append(gotCodes, n), append(gotGood, <-good)
		case <-time.After(longEnough):
			t.Fatalf("after %d of %d crashes, nothing goes on", len(gotCodes), chain)
		}
	}
	slices.Sort(gotCodes)
	slices.Sort(gotGood)
	if !slices.Equal(gotCodes, []int{1, 2, 3, 4, 5, 6}) || !slices.Equal(gotGood, []int{3, 6, 9, 12, 15, 18}) || calls.Load() != chain {
		t.Errorf("%d callbacks, with the exit codes %v and the results %v; want %d, each once", calls.Load(), gotCodes, gotGood, chain)
	}
}

// Callbacks add calls while the workers of others die.
func TestCallbacksSubmitWhileWorkersDie(t *testing.T) {
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 3})
	var pending sync.WaitGroup
	var ok, died, other atomic.Int64
	var follow func(left int) func(*executor.Future[told])
	submit := func(left int) {
		d := deed{Verb: "tell", N: left}
		if left%5 == 0 {
			d.Verb = "exit"
		}
		do(ex, d).OnDone(follow(left))
	}
	follow = func(left int) func(*executor.Future[told]) {
		return func(f *executor.Future[told]) {
			defer pending.Done()
			switch _, err := f.Result(ended()); {
			case err == nil:
				ok.Add(1)
			case errors.As(err, new(*executor.WorkerDiedError)):
				died.Add(1)
			default:
				other.Add(1)
				t.Errorf("a call: %v; want no error, or a *WorkerDiedError", err)
			}
			if left > 1 {
				pending.Add(1)
				submit(left - 1)
			}
		}
	}
	const chains, long = 8, 20
	for range chains {
		pending.Add(1)
		submit(long)
	}
	over := make(chan struct{})
	go func() { pending.Wait(); close(over) }()
	select {
	case <-over:
	case <-time.After(2 * longEnough):
		t.Fatalf("%d calls have succeeded, %d died; nothing goes on", ok.Load(), died.Load())
	}
	if sum := ok.Load() + died.Load(); sum != chains*long || died.Load() < chains*long/5 {
		t.Errorf("%d calls have succeeded, %d died; want %d, at least a fifth of them dead", ok.Load(), died.Load(), chains*long)
	}
}

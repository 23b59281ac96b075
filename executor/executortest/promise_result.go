package executortest

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/gofutures/futures/executor"
)

// resultPromises are about what becomes of a call (D6, D8).
var resultPromises = []promise{
	{id: "D8, SUB-08", says: "every call ends with the result of its function", check: everyCallEnds},
	{id: "FUT-01", says: "the error of a function is the error of its future", check: errorIsKept},
	{id: "FUT-04", says: "a future that is done stays as it is", check: doneStays},
	{id: "D6, PAN-02", says: "a call that panics has failed with a *PanicError", check: panicIsError},
	{id: "D6, PAN-01", says: "a panic with an error is matched through the *PanicError", check: panicUnwraps},
	{id: "D6, PAN-02", says: "a call that panics with nil has failed with a *PanicError", check: panicNilIsError},
	{id: "D6, PAN-04", says: "a call that panics costs no worker", check: func(k *trial) {
		costsNoWorker(k, func() *executor.Future[int] { return executor.Submit(k.ctx, k.ex, panicText, "on purpose") })
	}},
	{id: "D6, PAN-03", says: "a call that ends its goroutine has failed with ErrGoexit", check: goexitIsError},
	{id: "D6, PAN-03, PAN-04", says: "a call that ends its goroutine costs no worker", check: func(k *trial) {
		costsNoWorker(k, func() *executor.Future[int] { return executor.Submit(k.ctx, k.ex, endGoroutine, 0) })
	}},
}

func everyCallEnds(k *trial) {
	fs := make([]*executor.Future[int], 100)
	for i := range fs {
		fs[i] = executor.Submit(k.ctx, k.ex, echo, i)
	}
	for i, f := range fs {
		got, err := result(k, fmt.Sprintf("call %d of %d", i, len(fs)), f)
		if got != i || err != nil {
			k.violated("Result of call %d = %d, %v; want %d, nil", i, got, err, i)
		}
		if s := f.State(); s != executor.Finished {
			k.violated("State of call %d after its Result = %v; want finished", i, s)
		}
	}
}

func errorIsKept(k *trial) {
	const text = "no such colour"
	_, err := result(k, "a call that fails", executor.Submit(k.ctx, k.ex, fail, text))
	if err == nil || !strings.Contains(err.Error(), text) {
		k.violated("Result of a call that fails with %q = %v; want an error that says so", text, err)
	}
}

func doneStays(k *trial) {
	f := executor.Submit(k.ctx, k.ex, echo, 7)
	finish(k, "a call", f)
	if f.Cancel() {
		k.violated("Cancel of a call that is done = true; want false")
	}
	got, err := result(k, "a call that is done", f)
	if got != 7 || err != nil || f.State() != executor.Finished {
		k.violated("after Cancel of a call that is done: Result = %d, %v, State = %v; want 7, nil, finished", got, err, f.State())
	}
}

func panicIsError(k *trial) {
	_, err := result(k, "a call that panics", executor.Submit(k.ctx, k.ex, panicText, "on purpose"))
	p, ok := errors.AsType[*executor.PanicError](err)
	if !ok {
		k.fatal("Result of a call that panics = %v (%T); want a *PanicError", err, err)
	}
	if fmt.Sprint(p.Value) != "on purpose" {
		k.violated("Value of the *PanicError = %v; want %q", p.Value, "on purpose")
	}
	if !strings.Contains(string(p.Stack), "panicText") {
		k.violated("Stack of the *PanicError does not name the function that panicked, panicText:\n%s", p.Stack)
	}
}

func panicUnwraps(k *trial) {
	_, err := result(k, "a call that panics", executor.Submit(k.ctx, k.ex, panicError, 0))
	if _, ok := errors.AsType[*executor.PanicError](err); !ok || !errors.Is(err, io.ErrUnexpectedEOF) {
		k.violated("Result of a call that panics with io.ErrUnexpectedEOF = %v (%T); want a *PanicError that matches it", err, err)
	}
}

func panicNilIsError(k *trial) {
	_, err := result(k, "a call that panics", executor.Submit(k.ctx, k.ex, panicNil, 0))
	if _, ok := errors.AsType[*executor.PanicError](err); !ok {
		k.violated("Result of a call that panics with nil = %v (%T); want a *PanicError", err, err)
	}
}

func goexitIsError(k *trial) {
	_, err := result(k, "a call that ends its goroutine", executor.Submit(k.ctx, k.ex, endGoroutine, 0))
	if !errors.Is(err, executor.ErrGoexit) {
		k.violated("Result of a call that ends its goroutine = %v; want ErrGoexit", err)
	}
}

// costsNoWorker checks that as many calls as ever run at once after many that
// went wrong.
func costsNoWorker(k *trial, wrong func() *executor.Future[int]) {
	for i := range 3*k.ex.Workers() + 5 {
		if _, err := result(k, "a call that goes wrong", wrong()); err == nil {
			k.fatal("Result of call %d, which goes wrong, has no error", i)
		}
	}
	jobs := k.jobs(max(k.ex.Workers(), 1), "worker", k.newGate())
	collect := k.launch(k.ctx, jobs...)
	k.untilAll("start", jobs...) // all at once: none ends before the gate opens
	k.create(jobs[0].Gate)
	finish(k, "a call after those that went wrong", collect()...)
}

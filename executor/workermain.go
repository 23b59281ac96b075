package executor

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/gofutures/futures/executor/internal/proc"
	"github.com/gofutures/futures/executor/internal/procpool"
)

// WorkerMain is the first line of main in a program that uses a
// [ProcessPoolExecutor], and of TestMain (see executortest.Main). In a worker
// process it makes calls and does not return; in any other it returns at once.
// It answers to if __name__ == "__main__" and multiprocessing.freeze_support.
//
//	func main() {
//		executor.WorkerMain()
//
// Functions are registered before, in init. What a program does at package
// level and in init is done in each worker too.
//
// A worker has the parent's environment and working directory, an empty stdin,
// and what it prints goes where the pool says. It ignores interrupts from the
// terminal: the parent decides.
func WorkerMain() {
	link, isWorker, err := proc.Inherited()
	if err != nil {
		fmt.Fprintf(os.Stderr, "executor: WorkerMain: %v\n", err)
		os.Exit(2)
	}
	registry.seal()
	_ = proc.Build() // of the file as it is now
	if isWorker {
		depth = link.Depth
		procpool.Serve(link, procpool.ServeOptions{Maker: new(maker), Digest: registry.digest, ItemFrame: "executor.(*series[...]).makeLeft("})
	}
}

// depth is how many processes above this one are workers' parents: 0 for one
// that no pool has started.
var depth int

// maxDepth is how deep pools may be within pools. Without a limit, a program
// that makes a pool in the wrong place would start processes for ever.
const maxDepth = 8

// mayHaveWorkers returns why this process must not start workers, if so.
func mayHaveWorkers() error {
	switch {
	case !registry.isSealed():
		return errors.New("executor: ProcessPoolExecutor: main has not called executor.WorkerMain(), which is to be its first line; without it, each worker would run the whole program")
	case depth >= maxDepth:
		return fmt.Errorf("executor: ProcessPoolExecutor: this is a worker of a worker, %d deep; pools within pools end here", depth)
	}
	return nil
}

// maker makes the calls of a worker process: it has the registered functions.
type maker struct{ made invocation }

// invocation is the body of a call in a worker.
type invocation struct {
	request
	outcome reply
	notes   *notes // of a chunk, instead of the result
}

func (v *invocation) run(ctx context.Context) {
	if v.notes != nil {
		v.fn.callItems(ctx, v.request, v.notes)
	} else {
		v.fn.call(ctx, v.request, &v.outcome)
	}
}
func (v *invocation) name() string                     { return v.fn.about().name }
func (v *invocation) forget()                          {}
func (v *invocation) encode() (request, error)         { return request{}, nil }
func (v *invocation) complete(_, _ int, _ reply) error { return nil }
func (v *invocation) lose(_, _ int, err error) error   { return err }

// Initialize calls an initializer.
func (m *maker) Initialize(name string, failed *[]byte) {
	hasReturned := false
	defer func() {
		if !hasReturned {
			*failed = failure(caught(recover()), "").Data
		}
	}()
	err := registry.initializers[name](context.Background())
	hasReturned = true
	if err != nil {
		*failed = failure(err, "").Data
	}
}

// Make makes a call.
func (m *maker) Make(in *procpool.Incoming, r *procpool.Reply) {
	err := in.Err
	if int(in.Func) >= len(registry.sorted) {
		err = fmt.Errorf("%w: function %d", ErrNotRegistered, in.Func)
	}
	if err != nil {
		in.Fail(failure(err, "").Data, r)
		return
	}
	v := &m.made
	*v = invocation{request: request{fn: registry.sorted[in.Func], n: in.Items, stops: in.StopsAtError, data: in.Data}}
	if v.n > 0 {
		v.notes = in.Journal(v.fn.makesInPlace())
	}
	defer v.reply(r) // deferred, because the function may end this goroutine
	v.make(in)
}

// make runs the call as a Call, which is its ctx: that costs one object of 48 bytes, and
// nothing is registered before the function looks at Done, which most do not. A ctx of
// package context that can be cancelled costs more, and executors inside of the function
// would not know that it waits in a call.
func (v *invocation) make(in *procpool.Incoming) {
	r := inWorker
	if !in.Deadline.IsZero() {
		ctx, cancel := context.WithDeadline(context.Background(), in.Deadline)
		defer cancel()
		r = newOrigin(ctx, nil)
		r.isBrief = true
	}
	c := &Call{body: v}
	c.origin.Store(r)
	c.state.Store(running)
	defer c.publish(finished)
	in.Begin((*madeCall)(c))
	c.run(new(contexts))
}

// madeCall is a call that a worker makes.
type madeCall Call

// Interrupt asks the call to stop.
func (c *madeCall) Interrupt(cause string) { (*Call)(c).interrupt(remoteError([]byte(cause))) }

// reply says what came of the call.
func (v *invocation) reply(to *procpool.Reply) {
	r := v.outcome
	switch {
	case v.notes != nil:
		return
	case r.Kind == procpool.Lost: // the deferred functions of the call have panicked
		r = failure(ErrGoexit, "")
	case len(r.Data) > procpool.MaxData:
		r = failure(fmt.Errorf("executor: the result of %s has %d bytes; the limit is %d", v.name(), len(r.Data), procpool.MaxData), "")
	}
	*to = r
}

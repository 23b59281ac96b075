package executor

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"runtime"
)

// Func is the shape of all work. Several arguments are a struct.
type Func[In, Out any] = func(ctx context.Context, in In) (Out, error)

// Executor runs calls: concurrent.futures.Executor. It is what a lever of this
// module has, and what is written to add one; package executortest says
// whether an implementation keeps the promises. Users do not call its methods:
// they pass it to [Submit], [Go], [Map] and [MapSlice].
//
// Rules for those who implement it:
//
//   - Execute makes sure that c ends, always: by c.Run, now or later, on any
//     goroutine; by c.Reject, if it takes no more calls; or because it finds
//     that c has been cancelled, which c.Run finds out too.
//   - Calls start in the order of Execute.
//   - Execute may block until there is room for c, not longer than ctx lasts.
//   - A queued call whose ctx ends is to be cancelled at once, with c.Cancel. A
//     [Canceller] need not see to that.
//   - c and ctx are not kept after c has ended, and a ctx derived from ctx that c.Run
//     is given is not ended when c.Run returns.
//
// An executor that makes calls elsewhere, in another process or on another machine, uses
// c.Encode, c.Start and c.Complete instead of c.Run, and is typically a [Canceller]. One
// that limits how many calls run at once is a [Lender], so that calls may wait for each
// other. One that wraps another gives it the call with c.HandOn.
type Executor interface {
	// Execute takes c, which was submitted with ctx.
	Execute(ctx context.Context, c *Call)
	// Workers is the number of calls that run at once, or 0 if it has no
	// limit. Map sizes its window and MapSlice its chunks by it.
	Workers() int
}

// Submit calls fn(ctx, in) on ex and returns its future: Executor.submit.
//
// The function gets a ctx that has the values of ctx and ends with it, or when Cancel or
// Shutdown ask the running call to stop. It goes on when the function has returned, so
// that what that returns can use it: the body of an answer, rows, a command. It ends with
// ctx then, or when nobody has it any more: a goroutine that waits for its end must keep
// it, not only its Done channel. What is derived from it is cancelled or stays on ctx, as always. In a
// worker process, it ends with the call.
//
// If ctx ends before the call has started, the call is cancelled at once. Submit
// blocks only if ex does: a [ThreadPoolExecutor] with a QueueLimit that is
// full, or [Sequential].
//
// What cannot be submitted is an error of the future: a nil function, ctx or
// executor, an executor that was shut down, a ctx that has ended.
func Submit[In, Out any](ctx context.Context, ex Executor, fn Func[In, Out], in In) *Future[Out] {
	t := &task[In, Out]{fn: fn, in: in}
	submit(ctx, ex, t, &t.Future.call, fn == nil)
	return &t.Future
}

// Go calls a closure on ex and returns its future. It is [Submit] for work
// that has its arguments around it, and answers to threading.Thread too:
//
//	f := executor.Go(ctx, &executor.ThreadPerTask{}, work) // Thread(target=work).start()
//	_, err := f.Result(ctx)                                // join
//
// A closure runs in this process only.
func Go[Out any](ctx context.Context, ex Executor, fn func(context.Context) (Out, error)) *Future[Out] {
	t := &closure[Out]{fn: fn}
	submit(ctx, ex, t, &t.Future.call, fn == nil)
	return &t.Future
}

// submit gives c to ex, or ends it with what is wrong.
func submit(ctx context.Context, ex Executor, b body, c *Call, nilFunc bool) {
	c.body = b
	switch {
	case nilFunc:
		c.Reject(errors.New("executor: Submit: nil function"))
	case ctx == nil:
		c.Reject(errNilContext("Submit"))
	case ex == nil:
		c.Reject(errors.New("executor: Submit: nil Executor"))
	case ctx.Err() != nil:
		c.origin.Store(originFrom(ctx))
		c.cancelAs(expired)
	default:
		// A pool of goroutines is so fast that it is worth to know at once where the
		// call goes.
		if e, ok := ex.(*ThreadPoolExecutor); ok && e != nil {
			c.origin.Store(e.tracker.origin(ctx))
			e.execute(ctx, c, true)
			return
		}
		r := originTo(ex, ctx)
		c.origin.Store(r)
		ex.Execute(ctx, c)
		c.watch(r)
	}
}

// task is a call with its types: one object for call, future, function and
// argument.
type task[In, Out any] struct {
	Future[Out]
	fn Func[In, Out]
	in In
}

func (t *task[In, Out]) run(ctx context.Context) {
	returned := false
	defer t.call.guard(&returned)
	value, err := t.fn(ctx, t.in)
	returned = true
	t.keep(value, err)
}

func (t *task[In, Out]) forget() {
	var none In
	t.fn, t.in = nil, none
}

func (t *task[In, Out]) name() string { return funcName(t.fn) }

func (t *task[In, Out]) encode() (request, error) { return encodeOne(t.fn, t.in) }

func (t *task[In, Out]) complete(_, _ int, r reply) error {
	fn, err := find(t.fn)
	if err == nil {
		err = fn.decode(r, &t.value)
	}
	return err
}
func (t *task[In, Out]) lose(_, _ int, err error) error { return err }

// closure is a task without an argument.
type closure[Out any] struct {
	Future[Out]
	fn func(context.Context) (Out, error)
}

func (t *closure[Out]) run(ctx context.Context) {
	returned := false
	defer t.call.guard(&returned)
	value, err := t.fn(ctx)
	returned = true
	t.keep(value, err)
}

func (t *closure[Out]) forget()      { t.fn = nil }
func (t *closure[Out]) name() string { return funcName(t.fn) }

func (t *closure[Out]) encode() (request, error) {
	return request{}, fmt.Errorf("%w: Go: %s: a closure runs in this process only; use Submit with a registered function", ErrNotRegistered, funcName(t.fn))
}
func (t *closure[Out]) complete(_, _ int, _ reply) error { return nil }
func (t *closure[Out]) lose(_, _ int, err error) error   { return err }

// keep keeps what the function of the call returned.
func (f *Future[T]) keep(value T, err error) {
	f.value = value
	if err != nil {
		handOn(err)
		f.call.fail(err)
	}
}

// guard is deferred around a function: it keeps the error of one that did not
// return, and gives back function and argument.
func (c *Call) guard(returned *bool) {
	if !*returned {
		c.failBy(caught(recover()))
	}
	c.body.forget()
}

// funcName returns the name of a function as in a stack trace.
func funcName(fn any) string {
	if f := runtime.FuncForPC(reflect.ValueOf(fn).Pointer()); f != nil {
		return f.Name()
	}
	return "unknown"
}

func errNilContext(where string) error {
	return fmt.Errorf("executor: %s: nil ctx", where)
}

func errNilExecutor(kind string) error {
	return fmt.Errorf("executor: Submit: nil *%s", kind)
}

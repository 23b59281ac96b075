package parallel

import (
	"context"
	"errors"
	"slices"
	"unsafe"

	"github.com/gofutures/futures/executor"
)

// Call is a function and its argument, to be called later. The zero Call fails.
type Call[Out any] struct{ body body[Out] }

// Delayed returns the call of fn with in: joblib.delayed. It does not call fn.
// Several arguments are a struct.
func Delayed[In, Out any](fn executor.Func[In, Out], in In) Call[Out] {
	if fn == nil {
		return Call[Out]{}
	}
	return Call[Out]{&delayed[In, Out]{fn, in}}
}

var errNilFunc = errors.New("parallel: the zero Call, or Delayed of a nil function")

// body is a call whose argument's type is erased.
type body[Out any] interface {
	run(ctx context.Context) (Out, error)
	submit(ctx context.Context, ex executor.Executor) *executor.Future[Out]
	isLike(other body[Out]) bool // has the same function

	// Calls that are alike go together: each with its outcome, or all or nothing.
	sendEach(ctx context.Context, ex executor.Executor, calls []Call[Out], keep func(int, Out, error))
	sendAll(ctx context.Context, ex executor.Executor, calls []Call[Out]) ([]Out, error)
}

type delayed[In, Out any] struct {
	fn executor.Func[In, Out]
	in In
}

func (d *delayed[In, Out]) run(ctx context.Context) (Out, error) { return d.fn(ctx, d.in) }

func (d *delayed[In, Out]) submit(ctx context.Context, ex executor.Executor) *executor.Future[Out] {
	return executor.Submit(ctx, ex, d.fn, d.in)
}

// isLike compares function values, not their code: closures of the same code are
// different functions.
func (d *delayed[In, Out]) isLike(other body[Out]) bool {
	o, ok := other.(*delayed[In, Out])
	return ok && *(*unsafe.Pointer)(unsafe.Pointer(&d.fn)) == *(*unsafe.Pointer)(unsafe.Pointer(&o.fn))
}

func (d *delayed[In, Out]) arguments(calls []Call[Out]) []In {
	in := make([]In, len(calls))
	for i, c := range calls {
		in[i] = c.body.(*delayed[In, Out]).in
	}
	return in
}

func (d *delayed[In, Out]) sendEach(ctx context.Context, ex executor.Executor, calls []Call[Out], keep func(int, Out, error)) {
	in := d.arguments(calls)
	i := 0
	var last error
	for value, err := range executor.Map(ctx, ex, d.fn, slices.Values(in), executor.ChunkSize(len(in)), executor.Buffer(len(in))) {
		keep(i, value, err)
		i, last = i+1, err
	}
	for ; i < len(in); i++ { // the chunk was turned away, or ended by ctx, as a whole
		var none Out
		keep(i, none, last)
	}
}

func (d *delayed[In, Out]) sendAll(ctx context.Context, ex executor.Executor, calls []Call[Out]) ([]Out, error) {
	return executor.MapSlice(ctx, ex, d.fn, d.arguments(calls), executor.ChunkSize(len(calls)))
}

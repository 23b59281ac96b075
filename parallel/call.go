package parallel

import (
	"context"
	"errors"
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

// body is a call whose argument's type is erased.
type body[Out any] interface {
	run(ctx context.Context) (Out, error)
	pack(room int) pack[Out]
}

// do returns the body of a call, also of one that has none.
func (c Call[Out]) do() body[Out] {
	if c.body == nil {
		return nothing[Out]{}
	}
	return c.body
}

type delayed[In, Out any] struct {
	fn executor.Func[In, Out]
	in In
}

func (d *delayed[In, Out]) run(ctx context.Context) (Out, error) { return d.fn(ctx, d.in) }

func (d *delayed[In, Out]) pack(room int) pack[Out] {
	room = min(room, max(1, mostRoom/max(1, int(unsafe.Sizeof(d.in)))))
	return &packed[In, Out]{d.fn, append(make([]In, 0, room), d.in)}
}

// nothing is the body, and the pack, of the zero Call.
type nothing[Out any] struct{}

var errNilFunc = errors.New("parallel: the zero Call, or Delayed of a nil function")

func (n nothing[Out]) run(context.Context) (value Out, err error) { return value, errNilFunc }
func (n nothing[Out]) pack(int) pack[Out]                         { return n }
func (n nothing[Out]) len() int                                   { return 1 }
func (n nothing[Out]) add(Call[Out]) bool                         { return false }
func (n nothing[Out]) cut(int) pack[Out]                          { return n }

func (n nothing[Out]) submit(context.Context, executor.Executor) *executor.Future[Out] {
	p := executor.NewPromise[Out]()
	_ = p.Reject(errNilFunc)
	return p.Future()
}

func (n nothing[Out]) sendAll(context.Context, executor.Executor) ([]Out, error) {
	return nil, errNilFunc
}

func (n nothing[Out]) sendEach(_ context.Context, _ executor.Executor, keep func(int, Out, error)) {
	var none Out
	keep(0, none, errNilFunc)
}

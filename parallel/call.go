package parallel

import (
	"context"
	"errors"
	"reflect"
	"unsafe"

	"github.com/gofutures/futures/executor"
)

// Call is a function and its argument, to be called later. The zero Call fails.
type Call[Out any] struct {
	body body[Out]
	fn   unsafe.Pointer // with an argument in small: the function value
	arg  uint64         // and the argument
}

// Delayed returns the call of fn with in: joblib.delayed. It does not call fn.
// Several arguments are a struct.
func Delayed[In, Out any](fn executor.Func[In, Out], in In) Call[Out] {
	if fn == nil {
		return Call[Out]{}
	}
	if isSmall[In]() {
		c := Call[Out]{body: small[In, Out]{}, fn: *(*unsafe.Pointer)(unsafe.Pointer(&fn))}
		*(*In)(unsafe.Pointer(&c.arg)) = in
		return c
	}
	return Call[Out]{body: &delayed[In, Out]{fn, in}}
}

// body is a call whose argument's type is erased. It is given that call.
type body[Out any] interface {
	run(ctx context.Context, c Call[Out]) (Out, error)
	pack(c Call[Out], room int) pack[Out]
}

func (c Call[Out]) run(ctx context.Context) (Out, error) {
	if c.body == nil {
		return nothing[Out]{}.run(ctx, c)
	}
	return c.body.run(ctx, c)
}

func (c Call[Out]) pack(room int) pack[Out] {
	if c.body == nil {
		return nothing[Out]{}
	}
	return c.body.pack(c, room)
}

// delayed is the body of most calls.
type delayed[In, Out any] struct {
	fn executor.Func[In, Out]
	in In
}

func (d *delayed[In, Out]) run(ctx context.Context, _ Call[Out]) (Out, error) { return d.fn(ctx, d.in) }

func (d *delayed[In, Out]) pack(_ Call[Out], room int) pack[Out] { return newPack(d.fn, d.in, room) }

// small is the body of a call whose argument is a number or a bool, which fits into the
// call. The object that it spares was a third of what such a call costs in another
// process, in batches.
type small[In, Out any] struct{}

// isSmall reports whether arguments of that type are numbers or bools.
func isSmall[In any]() bool {
	k := reflect.TypeFor[In]().Kind()
	return k >= reflect.Bool && k <= reflect.Float64
}

func (small[In, Out]) of(c *Call[Out]) (executor.Func[In, Out], In) {
	return *(*executor.Func[In, Out])(unsafe.Pointer(&c.fn)), *(*In)(unsafe.Pointer(&c.arg))
}

func (s small[In, Out]) run(ctx context.Context, c Call[Out]) (Out, error) {
	fn, in := s.of(&c)
	return fn(ctx, in)
}

func (s small[In, Out]) pack(c Call[Out], room int) pack[Out] {
	fn, in := s.of(&c)
	return newPack(fn, in, room)
}

// nothing is the body, and the pack, of the zero Call.
type nothing[Out any] struct{}

var errNilFunc = errors.New("parallel: the zero Call, or Delayed of a nil function")

func (n nothing[Out]) run(context.Context, Call[Out]) (value Out, err error) {
	return value, errNilFunc
}
func (n nothing[Out]) len() int           { return 1 }
func (n nothing[Out]) add(Call[Out]) bool { return false }
func (n nothing[Out]) cut(int) pack[Out]  { return n }

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

package executor

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/gofutures/futures/executor/internal/codec"
	"github.com/gofutures/futures/executor/internal/procpool"
	"github.com/gofutures/futures/executor/internal/wire"
)

// request is a Request whose function is in this process.
type request struct {
	fn    function
	n     int    // 0, or the number of items of a chunk
	stops bool   // the chunk: no item is made after one that failed, or after the end of the ctx
	data  []byte // the argument, nil for a nil slice; or the items of a chunk
	kin   any    // of a chunk: the same for all of one map
}

// reply is a Reply whose data is nil for a nil slice.
type reply = procpool.Reply

// Request is a call on its way to another process: what [Call.Encode] returns here, and
// [Invoke] makes there. All of it is to be sent, by encoding/gob, encoding/json or hand.
type Request struct {
	Func         string    // the name under which the function is registered
	Items        int       // of a chunk, as Map and MapSlice make them: how many arguments Data has; else 0
	StopsAtError bool      // of a chunk: no item is made after one that failed, or after the end of the ctx
	IsNil        bool      // the argument is a nil slice or map, which is not an empty one; Data is empty
	Data         []byte    // the encoded argument
	Deadline     time.Time // of the ctx of the call, zero if it has none. Invoke does not look at it: the clock there may be another
}

// Reply is what came of a [Request], on its way back: what [Invoke] returns there, and
// [Call.Complete] takes here. All of it is to be sent.
type Reply struct {
	Kind  uint8  // how the call ended, and so what Data is; 0 if no call has
	IsNil bool   // the result is a nil slice or map; Data is empty
	Data  []byte // the encoded result, error, or outcomes of the items
}

// Encode returns the call as something that can go to another process. It is for
// executors that make calls elsewhere, and the alternative to Run:
//
//	request, err := c.Encode()         // err: Reject the call with it
//	...                                // send it
//	c.Start()                          // when the call starts there: it may not if Start returns false
//	...                                // there: reply, err := executor.Invoke(ctx, request)
//	c.Complete(reply, err)             // with what came back
//
// Such an executor is typically a [Canceller] too, so that it hears when the call is to
// end early.
//
// The error matches [ErrNotRegistered] if the function was not registered; or it says
// what of the argument cannot cross. Encode is called once. Data may be the memory of the
// argument, without a copy: it is not to be changed, and may be read until the call has
// ended.
func (c *Call) Encode() (Request, error) {
	p, err := c.encodeBody()
	if err != nil {
		return Request{}, err
	}
	r := Request{Func: p.fn.about().name, Items: p.n, StopsAtError: p.stops, IsNil: p.data == nil, Data: p.data}
	r.Deadline, _ = c.ctx().Deadline()
	return r, nil
}

// errNothingToDo is the error of encoding a call that need not be made: a part
// of MapSlice for which the others left nothing. Complete takes it for a success.
var errNothingToDo = errors.New("executor: nothing left to do")

// Start says that the call has started elsewhere, after which it cannot be
// cancelled, and reports whether it may: it may not if it was cancelled. It asks nobody
// and calls nobody back, so that the executor may hold a lock. Run does it by itself.
func (c *Call) Start() bool { return c.start() }

// Complete ends a call that was made elsewhere with what [Invoke] returned
// there, or with err if it did not get so far. A call that has not started is
// started; one that has ended keeps what it has.
func (c *Call) Complete(r Reply, err error) {
	if !c.state.CompareAndSwap(running, writing) && !c.state.CompareAndSwap(pending, writing) {
		return
	}
	switch {
	case err != nil:
	case r.Kind == uint8(procpool.Lost):
		err = errors.New("executor: Call.Complete: empty reply")
	case r.IsNil:
		err = c.body.complete(0, allItems, reply{Kind: procpool.Kind(r.Kind), Data: nil})
	default:
		err = c.body.complete(0, allItems, reply{Kind: procpool.Kind(r.Kind), Data: notNil(r.Data)})
	}
	if err != nil && err != errNothingToDo {
		c.failBy(err)
	}
	c.forgetBody()
	c.finish()
}

// notNil returns data that is not nil: on its way, what is empty may have become nil.
func notNil(data []byte) []byte {
	if data == nil {
		return []byte{}
	}
	return data
}

// allItems is how many items a result is about that came whole: all that were made.
const allItems = -1

// Invoke makes a call that [Call.Encode] encoded in another process, and
// returns what came of it, for [Call.Complete] there: the result, or the error
// or the panic of the function. Its own error says that the call was not made:
// it matches [ErrNotRegistered] if this program has no such function. The function
// gets ctx, which may end when Invoke returns: what is used afterwards cannot cross.
// It may get the memory of r.Data as its argument, and Reply.Data may be memory of its
// result, or of its argument.
func Invoke(ctx context.Context, r Request) (Reply, error) {
	if ctx == nil {
		return Reply{}, errNilContext("Invoke")
	}
	fn := registry.named(r.Func)
	if fn == nil {
		return Reply{}, fmt.Errorf("%w: Invoke: %q is not a function of this program", ErrNotRegistered, r.Func)
	}
	if r.Items < 0 || r.Items > len(r.Data) {
		return Reply{}, fmt.Errorf("executor: Invoke: %s: a request with %d items in %d bytes", r.Func, r.Items, len(r.Data))
	}
	p := request{fn: fn, n: r.Items, stops: r.StopsAtError}
	if !r.IsNil {
		p.data = notNil(r.Data)
	}
	var res reply
	if p.n == 0 {
		_ = contain(func() { fn.call(ctx, p, &res) }) // what it says is in res
	} else {
		made := procpool.NewJournal(p.n)
		fn.callItems(ctx, p, made)
		reply := made.Reply()
		res = reply
	}
	return Reply{Kind: uint8(res.Kind), IsNil: res.Data == nil, Data: res.Data}, nil
}

// encodeOne returns a call of fn as a request.
func encodeOne[In, Out any](fn Func[In, Out], in In) (p request, err error) {
	r, err := find(fn)
	if err != nil {
		return request{}, err
	}
	p.fn = r
	if r.in.Plain() {
		p.data, err = encodeValue(r.in, in)
	} else {
		p.data, err = encodeContained(r.in, in)
	}
	if err != nil {
		err = fmt.Errorf("executor: the argument of %s: %w", r.about_.name, err)
	}
	return p, err
}

// encodeContained is encodeValue for a type with code of the user's. It is on its own,
// because what a closure writes to is an object for each call.
func encodeContained[T any](c *codec.Codec[T], v T) (data []byte, err error) {
	if ended := contain(func() { data, err = encodeValue(c, v) }); ended != nil {
		return nil, fmt.Errorf("its marshaler: %w", ended)
	}
	return data, err
}

// encodeValue encodes v, without a copy where that is possible.
func encodeValue[T any](c *codec.Codec[T], v T) ([]byte, error) {
	if data, ok := c.View(v); ok {
		return data, nil
	}
	return c.Append(make([]byte, 0, max(8, c.Size())), v)
}

// encodeMany returns the calls of fn for the items as a request. It ends early
// if that gets long, at least one item is in it; and at an item that cannot be
// encoded, unless failed says to go on, without it.
func encodeMany[In, Out any](fn Func[In, Out], items []In, limit int, failed func(i int, err error) (goOn bool)) (request, error) {
	r, err := find(fn)
	if err != nil {
		return request{}, err
	}
	if size := r.in.Size(); size > 0 {
		items = items[:min(len(items), max(1, limit/size))]
	}
	if numbers, ok := r.in.ViewAll(items); ok {
		return request{fn: r, n: len(items), data: append([]byte(nil), numbers...)}, nil
	}
	e := encoding[In]{codec: r.in, items: items, limit: limit, data: make([]byte, 0, min(max(8, r.in.Size())*len(items), limit))}
	e.failed = func(err error) (goOn bool) {
		return failed(e.i, fmt.Errorf("executor: the argument of %s: %w", r.about_.name, err))
	}
	e.all()
	return request{fn: r, n: e.n, data: e.data}, nil
}

// encoding is the items of a chunk as they are encoded.
type encoding[In any] struct {
	codec  *codec.Codec[In]
	items  []In
	limit  int
	i      int // the next item
	data   []byte
	n      int // items in data
	failed func(error) (goOn bool)
}

// all encodes items until one is too much, or has failed and that is the end.
func (e *encoding[In]) all() {
	if e.codec.Plain() {
		e.goOn()
		return
	}
	for isOver := false; !isOver; {
		ended := contain(e.goOn)
		if isOver = ended == nil; !isOver {
			isOver = !e.failed(fmt.Errorf("its marshaler: %w", ended))
			e.i++
		}
	}
}

func (e *encoding[In]) goOn() {
	for ; e.i < len(e.items); e.i++ {
		longer, err := appendItem(e.data, e.codec, &e.items[e.i])
		switch {
		case err != nil && e.failed(err):
		case err != nil:
			return
		case len(longer) > e.limit && e.n > 0:
			return
		default:
			e.data = longer
			e.n++
		}
	}
}

// appendItem appends an item of a chunk: behind its length, unless all items
// have the same.
func appendItem[T any](b []byte, c *codec.Codec[T], item *T) ([]byte, error) {
	if c.Size() > 0 {
		return c.AppendAt(b, item)
	}
	if data, ok := c.View(*item); ok {
		return wire.AppendItem(b, data, data == nil), nil
	}
	return wire.AppendItemWith(b, func(b []byte) ([]byte, error) { return c.AppendAt(b, item) })
}

func (r *registered[In, Out]) call(ctx context.Context, p request, res *reply) {
	hasReturned := false
	defer func() {
		if !hasReturned {
			*res = failure(caught(recover()), r.about_.source)
		}
	}()
	in, err := r.in.Alias(p.data)
	if err != nil {
		err = fmt.Errorf("executor: the argument of %s: %w", r.about_.name, err)
	}
	var value Out
	if err == nil {
		value, err = r.fn(ctx, in)
	}
	hasReturned = true
	*res = r.encode(value, err)
	if _, isView := r.out.View(value); isView && !r.in.Plain() { // it may be in the memory of a Shared
		res.Data = slices.Clone(res.Data)
	}
	runtime.KeepAlive(&in) // so that it is mapped until here; a chunk keeps its items
}

// encode encodes what the function returned.
func (r *registered[In, Out]) encode(value Out, err error) reply {
	if err != nil {
		return failure(err, r.about_.source)
	}
	data, err := encodeValue(r.out, value)
	if err != nil {
		return failure(fmt.Errorf("executor: the result of %s: %w", r.about_.name, err), r.about_.source)
	}
	return reply{Kind: procpool.Returned, Data: data}
}

// decode keeps what came of a call of r in value, or returns the error.
func (r *registered[In, Out]) decode(res reply, value *Out) error {
	if r.out.Plain() {
		return r.decodePlain(res, value)
	}
	return r.decodeContained(res, value)
}

// decodeContained is decode for a type with code of the user's.
func (r *registered[In, Out]) decodeContained(res reply, value *Out) (err error) {
	if ended := contain(func() { err = r.decodePlain(res, value) }); ended != nil {
		err = fmt.Errorf("executor: the result of %s: its unmarshaler: %w", r.about_.name, ended)
	}
	return err
}

// decodePlain is decode for a type without code of the user's.
func (r *registered[In, Out]) decodePlain(res reply, value *Out) error {
	switch res.Kind {
	case procpool.Returned:
		if err := r.out.DecodeTo(res.Data, value); err != nil {
			return fmt.Errorf("executor: the result of %s: %w", r.about_.name, err)
		}
		return nil
	case procpool.Failed:
		return remoteError(res.Data)
	}
	return errMalformed(r.about_.name)
}

// contain calls f on a goroutine of its own and waits for it: f calls code of the
// user's, which may end the goroutine. The error says that it did, or panicked.
func contain(f func()) error {
	ended := make(chan error, 1)
	go func() {
		hasReturned := false
		defer func() {
			if hasReturned {
				ended <- nil
			} else {
				ended <- caught(recover())
			}
		}()
		f()
		hasReturned = true
	}()
	return <-ended
}

// quickResult returns the length from which on results are not decoded by the
// goroutine that reads them from a worker. To hand one to another goroutine costs some 20
// microseconds: so long it takes at least to decode 64 KiB of structs, and at most to copy
// a megabyte of numbers.
func quickResult[T any](c *codec.Codec[T]) int {
	var none T
	if _, isCopied := c.View(none); isCopied {
		return procpool.BigData
	}
	if _, isCopied := c.ViewAll(nil); isCopied {
		return procpool.BigData
	}
	return 64 << 10
}

func errMalformed(name string) error {
	return fmt.Errorf("executor: the result of %s is malformed", name)
}

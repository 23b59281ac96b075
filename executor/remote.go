package executor

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"slices"

	"github.com/gofutures/futures/executor/internal/codec"
	"github.com/gofutures/futures/executor/internal/wire"
)

// parcel is a call on its way to another process.
type parcel struct {
	fn    function
	n     int    // 0, or the number of items of a chunk
	stops bool   // the chunk: no item is made after one that failed, or after the end of the ctx
	data  []byte // the argument, nil for a nil slice; or the items of a chunk
	kin   any    // of a chunk: the same for all of one map
}

// result is what came of a call, on its way back.
type result struct {
	kind resultKind
	data []byte // nil for a nil slice
}

type resultKind byte

const (
	lost      resultKind = iota // nothing came
	returned                    // data is the value
	wentWrong                   // data is a failure
	values                      // of a chunk: data is what each item that was made returned
	outcomes                    // of a chunk: data is a result for each item that was made
)

// The flags of an encoded call.
const (
	nilData = 1 << iota
	stopsAtError
)

// Encode returns the call as something that can go to another process: the
// name of the function and its encoded argument, for [Invoke] there. It is for
// executors that make calls elsewhere, and the alternative to Run:
//
//	name, data, err := c.Encode()   // err: Reject the call with it
//	...                             // send both
//	c.Start()                       // when the call starts there
//	...                             // tell it when c.Context() ends
//	c.Complete(result, err)         // what Invoke returned there
//
// The error matches [ErrNotRegistered] if the function was not registered; or
// it says what of the argument cannot cross. The data may share memory with
// the argument.
func (c *Call) Encode() (name string, data []byte, err error) {
	p, err := c.body.encode()
	if err != nil {
		return "", nil, err
	}
	head := []byte{0}
	if p.data == nil {
		head[0] |= nilData
	}
	if p.stops {
		head[0] |= stopsAtError
	}
	head = binary.AppendUvarint(head, uint64(p.n))
	return p.fn.about().name, append(head, p.data...), nil
}

// errNothingToDo is the error of encoding a call that need not be made: a part
// of MapSlice for which the others left nothing. Complete takes it for a success.
var errNothingToDo = errors.New("executor: nothing left to do")

// Start says that the call has started elsewhere, after which it cannot be
// cancelled, and reports whether it may: it may not if it was cancelled. Run
// does it by itself.
func (c *Call) Start() bool { return c.start() }

// Complete ends a call that was made elsewhere with what [Invoke] returned
// there, or with err if it did not get so far. A call that has not started is
// started; one that has ended keeps what it has.
func (c *Call) Complete(data []byte, err error) {
	c.start()
	if !c.state.CompareAndSwap(running, settling) {
		return
	}
	switch {
	case err != nil:
	case len(data) == 0:
		err = errors.New("executor: Call.Complete: empty result")
	default:
		r := result{kind: resultKind(data[0] >> 1), data: data[1:]}
		if data[0]&1 != 0 {
			r.data = nil
		}
		err = c.body.complete(0, allItems, r)
	}
	if err != nil && err != errNothingToDo {
		c.failBy(err)
	}
	c.body.forget()
	c.settle()
}

// allItems is how many items a result is about that came whole: all that were made.
const allItems = -1

// Invoke makes a call that [Call.Encode] encoded in another process, and
// returns what came of it, for [Call.Complete] there: the result, or the error
// or the panic of the function. Its own error says that the call was not made:
// it matches [ErrNotRegistered] if this program has no such function. The function
// gets ctx, which may end when Invoke returns: what is used afterwards cannot cross.
func Invoke(ctx context.Context, name string, data []byte) ([]byte, error) {
	if ctx == nil {
		return nil, errNilContext("Invoke")
	}
	fn := registry.named(name)
	if fn == nil {
		return nil, fmt.Errorf("%w: Invoke: %q is not a function of this program", ErrNotRegistered, name)
	}
	if len(data) == 0 {
		return nil, errors.New("executor: Invoke: empty data")
	}
	n, width := binary.Uvarint(data[1:])
	if width <= 0 || n > uint64(len(data)) {
		return nil, errors.New("executor: Invoke: malformed data")
	}
	p := parcel{fn: fn, n: int(n), stops: data[0]&stopsAtError != 0}
	if data[0]&nilData == 0 {
		p.data = data[1+width:]
	}
	var r result
	if p.n == 0 {
		_ = contain(func() { fn.call(ctx, p, &r) }) // what it says is in r
	} else {
		made := invoked(p.n)
		fn.callItems(ctx, p, made)
		r = result{made.kind, made.bytes}
	}
	head := byte(r.kind) << 1
	if r.data == nil {
		head |= 1
	}
	return append([]byte{head}, r.data...), nil
}

// encodeOne returns a call of fn as a parcel.
func encodeOne[In, Out any](fn Func[In, Out], in In) (p parcel, err error) {
	r, err := find(fn)
	if err != nil {
		return parcel{}, err
	}
	p.fn = r
	if r.in.Plain() {
		p.data, err = encodeValue(r.in, in)
	} else if ended := contain(func() { p.data, err = encodeValue(r.in, in) }); ended != nil {
		err = fmt.Errorf("its marshaler: %w", ended)
	}
	if err != nil {
		err = fmt.Errorf("executor: the argument of %s: %w", r.about_.name, err)
	}
	return p, err
}

// encodeValue encodes v, without a copy where that is possible.
func encodeValue[T any](c *codec.Codec[T], v T) ([]byte, error) {
	if data, ok := c.View(v); ok {
		return data, nil
	}
	return c.Append(make([]byte, 0, max(8, c.Size())), v)
}

// encodeMany returns the calls of fn for the items as a parcel. It ends early
// if that gets long, at least one item is in it; and at an item that cannot be
// encoded, unless failed says to go on, without it.
func encodeMany[In, Out any](fn Func[In, Out], items []In, limit int, failed func(i int, err error) (goOn bool)) (parcel, error) {
	r, err := find(fn)
	if err != nil {
		return parcel{}, err
	}
	if size := r.in.Size(); size > 0 {
		items = items[:min(len(items), max(1, limit/size))]
	}
	if numbers, ok := r.in.ViewAll(items); ok {
		return parcel{fn: r, n: len(items), data: append([]byte(nil), numbers...)}, nil
	}
	e := encoding[In]{codec: r.in, items: items, limit: limit, data: make([]byte, 0, min(max(8, r.in.Size())*len(items), limit))}
	e.failed = func(err error) (goOn bool) {
		return failed(e.i, fmt.Errorf("executor: the argument of %s: %w", r.about_.name, err))
	}
	e.all()
	return parcel{fn: r, n: e.n, data: e.data}, nil
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

func (r *registered[In, Out]) call(ctx context.Context, p parcel, res *result) {
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
		res.data = slices.Clone(res.data)
	}
	runtime.KeepAlive(&in) // so that it is mapped until here; a chunk keeps its items
}

// encode encodes what the function returned.
func (r *registered[In, Out]) encode(value Out, err error) result {
	if err != nil {
		return failure(err, r.about_.source)
	}
	data, err := encodeValue(r.out, value)
	if err != nil {
		return failure(fmt.Errorf("executor: the result of %s: %w", r.about_.name, err), r.about_.source)
	}
	return result{returned, data}
}

// decode keeps what came of a call of r in value, or returns the error.
func (r *registered[In, Out]) decode(res result, value *Out) (err error) {
	if r.out.Plain() {
		return r.decodePlain(res, value)
	}
	if ended := contain(func() { err = r.decodePlain(res, value) }); ended != nil {
		err = fmt.Errorf("executor: the result of %s: its unmarshaler: %w", r.about_.name, ended)
	}
	return err
}

// decodePlain is decode for a type without code of the user's.
func (r *registered[In, Out]) decodePlain(res result, value *Out) error {
	switch res.kind {
	case returned:
		if err := r.out.DecodeTo(res.data, value); err != nil {
			return fmt.Errorf("executor: the result of %s: %w", r.about_.name, err)
		}
		return nil
	case wentWrong:
		return remoteError(res.data)
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
		return bigData
	}
	if _, isCopied := c.ViewAll(nil); isCopied {
		return bigData
	}
	return 64 << 10
}

func errMalformed(name string) error {
	return fmt.Errorf("executor: the result of %s is malformed", name)
}

package executor

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/gofutures/futures/executor/internal/codec"
	"github.com/gofutures/futures/executor/internal/wire"
)

// parcel is a call on its way to another process.
type parcel struct {
	fn   function
	n    int    // 0, or the number of items of a chunk
	data []byte // the argument, nil for a nil slice; or the items of a chunk
}

// result is what came of a call, on its way back.
type result struct {
	kind resultKind
	data []byte // nil for a nil slice
}

type resultKind byte

const (
	lost     resultKind = iota // nothing came
	returned                   // data is the value
	failed                     // data is a failure
	numbers                    // of a chunk: data is the values, which are of one size
	outcomes                   // of a chunk: data is a result for each item that was made
)

// stopAtError is a flag of a chunk, its first byte: no item is made after one
// that failed, or after the end of the ctx.
const stopAtError = 1

// Encode returns the call as something that can go to another process: the
// name of the function and its encoded argument, for [Invoke] there. It is for
// executors that make calls elsewhere, and the alternative to Run:
//
//	name, data, err := c.Encode()   // err: Reject the call with it
//	...                             // send both
//	c.Start()                       // when the call starts there
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
		head[0] = 1
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
	defer c.publish(finished)
	defer c.body.forget()
	if errors.Is(err, errNothingToDo) {
		return
	}
	switch {
	case err != nil:
		c.fail(err)
	case len(data) == 0:
		c.fail(errors.New("executor: Call.Complete: empty result"))
	default:
		r := result{kind: resultKind(data[0] >> 1), data: data[1:]}
		if data[0]&1 != 0 {
			r.data = nil
		}
		c.body.complete(r)
	}
}

// Invoke makes a call that [Call.Encode] encoded in another process, and
// returns what came of it, for [Call.Complete] there: the result, or the error
// or the panic of the function. Its own error says that the call was not made:
// it matches [ErrNotRegistered] if this program has no such function.
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
	arg := data[1+width:]
	if data[0]&1 != 0 {
		arg = nil
	}
	var r result
	done := make(chan struct{})
	go func() { // the function may end its goroutine
		defer close(done)
		fn.call(ctx, int(n), arg, &r)
	}()
	<-done
	head := byte(r.kind) << 1
	if r.data == nil {
		head |= 1
	}
	return append([]byte{head}, r.data...), nil
}

// encodeOne returns a call of fn as a parcel.
func encodeOne[In, Out any](fn Func[In, Out], in In) (parcel, error) {
	r, err := find(fn)
	if err != nil {
		return parcel{}, err
	}
	data, err := encodeValue(r.in, in)
	if err != nil {
		return parcel{}, fmt.Errorf("executor: the argument of %s: %w", r.about_.name, err)
	}
	return parcel{fn: r, data: data}, nil
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
func encodeMany[In, Out any](fn Func[In, Out], items []In, flags byte, limit int, failed func(i int, err error) (goOn bool)) (parcel, error) {
	r, err := find(fn)
	if err != nil {
		return parcel{}, err
	}
	size := r.in.Size()
	data := make([]byte, 0, 1+min(max(8, size)*len(items), limit))
	data = append(data, flags)
	n := 0
	for i, item := range items {
		before := len(data)
		if data, err = appendItem(data, r.in, size, item); err != nil {
			if failed(i, fmt.Errorf("executor: the argument of %s: %w", r.about_.name, err)) {
				continue
			}
			break
		}
		if len(data) > limit && n > 0 {
			data = data[:before]
			break
		}
		n++
	}
	return parcel{fn: r, n: n, data: data}, nil
}

func appendItem[T any](b []byte, c *codec.Codec[T], size int, item T) ([]byte, error) {
	if size > 0 {
		return c.Append(b, item)
	}
	if data, ok := c.View(item); ok {
		return wire.AppendItem(b, data, data == nil), nil
	}
	data, err := c.Append(nil, item)
	if err != nil {
		return b, err
	}
	return wire.AppendItem(b, data, false), nil
}

func (r *registered[In, Out]) call(ctx context.Context, n int, data []byte, res *result) {
	if n > 0 {
		r.callMany(ctx, n, data, res)
		return
	}
	hasReturned := false
	defer func() {
		if !hasReturned {
			*res = failure(caught(recover()), r.about_.source)
		}
	}()
	in, err := r.in.Alias(data)
	if err != nil {
		err = fmt.Errorf("executor: the argument of %s: %w", r.about_.name, err)
	}
	var value Out
	if err == nil {
		value, err = r.fn(ctx, in)
	}
	hasReturned = true
	*res = r.encode(value, err)
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
	switch res.kind {
	case returned:
		if *value, err = r.out.Decode(res.data); err != nil {
			err = fmt.Errorf("executor: the result of %s: %w", r.about_.name, err)
		}
		return err
	case failed:
		return remoteError(res.data)
	}
	return errMalformed(r.about_.name)
}

func errMalformed(name string) error {
	return fmt.Errorf("executor: the result of %s is malformed", name)
}

// manyCalls is a chunk that is being made.
type manyCalls[In, Out any] struct {
	*registered[In, Out]
	ctx  context.Context
	stop bool
	in   []In
	res  *result
	size int // of a result, if all have the same
}

func (r *registered[In, Out]) callMany(ctx context.Context, n int, data []byte, res *result) {
	m := manyCalls[In, Out]{registered: r, ctx: ctx, res: res, size: r.out.Size()}
	var err error
	if m.in, err = r.decodeItems(n, data); err != nil {
		*res = failure(fmt.Errorf("executor: the argument of %s: %w", r.about_.name, err), r.about_.source)
		return
	}
	m.stop = data[0]&stopAtError != 0
	*res = result{kind: outcomes, data: []byte{}}
	if m.size > 0 {
		*res = result{kind: numbers, data: make([]byte, 0, n*m.size)}
	}
	m.callFrom(0)
}

func (r *registered[In, Out]) decodeItems(n int, data []byte) ([]In, error) {
	if len(data) == 0 {
		return nil, errors.New("empty chunk")
	}
	data = data[1:]
	size := r.in.Size()
	if n > len(data) || size > 0 && n*size != len(data) {
		return nil, fmt.Errorf("%d bytes cannot be %d items", len(data), n)
	}
	items := make([]In, 0, n)
	if size > 0 {
		for ; len(data) > 0; data = data[size:] {
			item, err := r.in.Decode(data[:size])
			if err != nil {
				return nil, err
			}
			items = append(items, item)
		}
		return items, nil
	}
	for item, err := range wire.Items(data, n) {
		if err != nil {
			return nil, err
		}
		value, err := r.in.Alias(item)
		if err != nil {
			return nil, fmt.Errorf("item %d of a chunk: %w", len(items), err)
		}
		items = append(items, value)
	}
	return items, nil
}

// callFrom makes the calls from item i on. An item that panics or ends its
// goroutine has an outcome like any other: the deferred function goes on with
// the next.
func (m *manyCalls[In, Out]) callFrom(i int) {
	defer func() {
		if i < len(m.in) {
			var none Out
			if i++; m.keep(i-1, none, caught(recover())) {
				m.callFrom(i)
			}
		}
	}()
	for i < len(m.in) {
		value, err := m.fn(m.ctx, m.in[i])
		i++
		if !m.keep(i-1, value, err) {
			i = len(m.in)
		}
	}
}

// keep keeps what came of item i, and reports whether to make the next.
func (m *manyCalls[In, Out]) keep(i int, value Out, err error) bool {
	if err == nil && m.res.kind == numbers {
		m.res.data, err = m.out.Append(m.res.data, value)
		if err == nil {
			return !m.stop || m.ctx.Err() == nil
		}
	}
	m.spell()
	r := m.encode(value, err)
	m.res.data = wire.AppendOutcome(m.res.data, byte(r.kind), r.data, r.data == nil)
	return !m.stop || r.kind == returned && m.ctx.Err() == nil
}

// spell makes outcomes of the numbers that are there: not all items have one.
func (m *manyCalls[In, Out]) spell() {
	if m.res.kind != numbers {
		return
	}
	values := m.res.data
	*m.res = result{kind: outcomes}
	for ; len(values) > 0; values = values[m.size:] {
		m.res.data = wire.AppendOutcome(m.res.data, byte(returned), values[:m.size], false)
	}
}

// decodeMany hands over what came of a chunk of n calls of fn, and returns for
// how many there was something: less than n if the chunk was to stop at an
// error, or at the end of its ctx.
func decodeMany[In, Out any](fn Func[In, Out], res result, n int, each func(i int, value Out, err error)) (int, error) {
	r, err := find(fn)
	if err != nil {
		return 0, err
	}
	size := r.out.Size()
	switch {
	case res.kind == failed:
		return 0, remoteError(res.data)
	case res.kind == numbers && size > 0 && len(res.data)%size == 0 && len(res.data) <= n*size:
		for i := range len(res.data) / size {
			value, err := r.out.Decode(res.data[i*size : (i+1)*size])
			each(i, value, err)
		}
		return len(res.data) / size, nil
	case res.kind != outcomes:
		return 0, errMalformed(r.about_.name)
	}
	i := 0
	for o, err := range wire.Outcomes(res.data) {
		if err != nil || i == n {
			return i, errMalformed(r.about_.name)
		}
		var value Out
		err = r.decode(result{resultKind(o.Kind), o.Data}, &value)
		each(i, value, err)
		i++
	}
	return i, nil
}

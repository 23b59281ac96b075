package executor

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"

	"github.com/gofutures/futures/executor/internal/codec"
	"github.com/gofutures/futures/executor/internal/wire"
)

// parcel is a call on its way to another process.
type parcel struct {
	fn    function
	n     int    // 0, or the number of items of a chunk
	stops bool   // the chunk: no item is made after one that failed, or after the end of the ctx
	data  []byte // the argument, nil for a nil slice; or the items of a chunk
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
	hasReturned := false
	defer func() {
		if !hasReturned { // an unmarshaler has ended this goroutine
			c.fail(ErrGoexit)
		}
		c.body.forget()
		c.settle()
	}()
	switch {
	case errors.Is(err, errNothingToDo):
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
	hasReturned = true
}

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
	switch rest := data[1+width:]; {
	case data[0]&nilData != 0:
	case n > 0:
		p.data = slices.Clone(rest) // is written to
	default:
		p.data = rest
	}
	var r result
	done := make(chan struct{})
	go func() { // the function may end its goroutine
		defer close(done)
		fn.call(ctx, p, &r)
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
	data := make([]byte, 0, min(max(8, r.in.Size())*len(items), limit))
	n := 0
	for i := range items {
		before := len(data)
		if data, err = appendItem(data, r.in, &items[i]); err != nil {
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
	if p.n > 0 {
		r.callMany(ctx, p, res)
		return
	}
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
	switch res.kind {
	case returned:
		if err = r.out.DecodeTo(res.data, value); err != nil {
			err = fmt.Errorf("executor: the result of %s: %w", r.about_.name, err)
		}
		return err
	case wentWrong:
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
	ctx      context.Context
	stop     bool        // at an error, or at the end of ctx
	hasEnded atomic.Bool // ctx has; to ask it for each item would take as long as a cheap item
	in       []In
	values   []Out // of the items so far, if all have returned one
	outcomes []byte
	failed   bool // not all have: outcomes is what came of the items
}

func (r *registered[In, Out]) callMany(ctx context.Context, p parcel, res *result) {
	in, err := r.decodeItems(p.n, p.data)
	if err != nil {
		*res = failure(fmt.Errorf("executor: the argument of %s: %w", r.about_.name, err), r.about_.source)
		return
	}
	m := manyCalls[In, Out]{registered: r, ctx: ctx, stop: p.stops, in: in, values: codec.Over(r.in, r.out, in)}
	if m.stop {
		defer context.AfterFunc(ctx, func() { m.hasEnded.Store(true) })()
	}
	// Deferred, because an item may end this goroutine.
	defer func() { *res = m.result() }()
	m.callFrom(0)
}

func (r *registered[In, Out]) decodeItems(n int, data []byte) ([]In, error) {
	size := r.in.Size()
	if n > len(data) || size > 0 && n*size != len(data) {
		return nil, fmt.Errorf("%d bytes cannot be %d items", len(data), n)
	}
	if items, ok := r.in.AliasAll(data); ok {
		return items, nil
	}
	items := make([]In, n)
	i := 0
	for item, err := range wire.Items(data, n, size) {
		if err != nil {
			return nil, err
		}
		if err := r.in.DecodeTo(item, &items[i]); err != nil {
			return nil, fmt.Errorf("item %d of a chunk: %w", i, err)
		}
		i++
	}
	return items, nil
}

// callFrom makes the calls from item i on. An item that panics or ends its
// goroutine has an outcome like any other: the deferred function goes on with
// the next.
func (m *manyCalls[In, Out]) callFrom(i int) {
	defer func() {
		if i < len(m.in) {
			m.fail(caught(recover()))
			if i++; !m.stop {
				m.callFrom(i)
			}
		}
	}()
	for i < len(m.in) && !m.hasEnded.Load() {
		value, err := m.fn(m.ctx, m.in[i])
		i++
		switch {
		case err != nil:
			m.fail(err)
			if m.stop {
				m.in = m.in[:i]
			}
		case m.failed:
			m.add(m.encode(value, nil))
		default:
			m.values = append(m.values, value)
		}
	}
	m.in = m.in[:i]
}

// fail keeps the error of an item.
func (m *manyCalls[In, Out]) fail(err error) {
	m.spell()
	var none Out
	m.add(m.encode(none, err))
}

func (m *manyCalls[In, Out]) add(r result) {
	m.outcomes = wire.AppendOutcome(m.outcomes, byte(r.kind), r.data, r.data == nil)
}

// spell makes outcomes of the values that are there: not all items have one.
func (m *manyCalls[In, Out]) spell() {
	if m.failed {
		return
	}
	m.failed = true
	for _, value := range m.values {
		m.add(m.encode(value, nil))
	}
	m.values = nil
}

// result returns what came of the chunk.
func (m *manyCalls[In, Out]) result() result {
	if !m.failed {
		if data, ok := m.encodeValues(); ok {
			return result{values, data}
		}
		m.spell() // one cannot be encoded
	}
	return result{outcomes, m.outcomes}
}

func (m *manyCalls[In, Out]) encodeValues() (data []byte, ok bool) {
	if data, ok = m.out.ViewAll(m.values); ok {
		return data, true
	}
	data = make([]byte, 0, max(8, m.out.Size())*len(m.values))
	var err error
	for i := range m.values {
		if data, err = appendItem(data, m.out, &m.values[i]); err != nil {
			return nil, false
		}
	}
	return data, true
}

// decodeMany decodes what came of a chunk of calls of fn into out, and returns
// for how many there was something: less than len(out) if the chunk was to stop
// at an error, or at the end of its ctx. An item that failed is told to failed.
func decodeMany[In, Out any](fn Func[In, Out], res result, out []Out, failed func(i int, err error)) (n int, err error) {
	r, err := find(fn)
	if err != nil {
		return 0, err
	}
	switch res.kind {
	case lost:
		return 0, errMalformed(r.about_.name)
	case wentWrong:
		return 0, remoteError(res.data)
	case values:
		return r.decodeValues(res.data, out, failed)
	}
	for o, err := range wire.Outcomes(res.data) {
		if err != nil || n == len(out) {
			return n, errMalformed(r.about_.name)
		}
		if err := r.decode(result{resultKind(o.Kind), o.Data}, &out[n]); err != nil {
			failed(n, err)
		}
		n++
	}
	return n, nil
}

// decodeValues decodes what the items of a chunk returned, of which none has
// failed.
func (r *registered[In, Out]) decodeValues(data []byte, out []Out, failed func(i int, err error)) (n int, err error) {
	size := r.out.Size()
	if size > 0 && len(data)%size == 0 && len(data)/size <= len(out) && r.out.DecodeAll(data, out[:len(data)/size]) {
		return len(data) / size, nil
	}
	for item, err := range wire.AllItems(data, size) {
		if err != nil || n == len(out) {
			return n, errMalformed(r.about_.name)
		}
		if err := r.decode(result{returned, item}, &out[n]); err != nil {
			failed(n, err)
		}
		n++
	}
	return n, nil
}

package executor

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/gofutures/futures/executor/internal/codec"
	"github.com/gofutures/futures/executor/internal/wire"
)

// series is a chunk that is being made in another process: one item after another,
// each with its own outcome. Code of the user's around an item, which decodes its
// argument, encodes its result or describes its error, may panic or end the
// goroutine as its function may: that too is the outcome of this item alone.
type series[In, Out any] struct {
	*registered[In, Out]
	*notes
	ctx     context.Context
	i       int         // the item that is made
	stops   bool        // at an error, or at the end of ctx
	isOver  atomic.Bool // one of these was there: asking ctx for each item would take as long as a cheap item
	args    []In        // of all items, if they are numbers
	encoded []byte      // else: those of the items that were not made
}

// makesInPlace reports whether the results of a chunk can be written over its
// arguments.
func (r *registered[In, Out]) makesInPlace() bool { return codec.SameNumbers(r.in, r.out) }

func (r *registered[In, Out]) callItems(ctx context.Context, p parcel, n *notes) {
	s := &series[In, Out]{registered: r, notes: n, ctx: ctx, stops: p.stops, encoded: p.data}
	if r.out.Size() == 0 {
		n.kind = outcomes
		if n.work != nil {
			n.start()
		}
	}
	s.args, _ = r.in.AliasAll(p.data)
	if len(s.args) != p.n {
		s.args = nil
	}
	if s.stops {
		defer context.AfterFunc(ctx, func() { s.isOver.Store(true) })()
	}
	for !s.makeAll() {
	}
}

// makeAll makes the items that are left. It returns false when one has panicked or
// ended the goroutine, after which others may be left.
func (s *series[In, Out]) makeAll() (isDone bool) {
	ended := contain(s.makeLeft)
	if ended == nil {
		return true
	}
	s.fail(ended)
	s.i++
	return false
}

// makeLeft is makeAll on a goroutine that an item may end. callFirst knows its name.
func (s *series[In, Out]) makeLeft() {
	s.makeNumbers()
	for ; !s.isOver.Load() && s.begin(s.i); s.i++ {
		s.makeOne()
	}
}

// makeNumbers makes items as long as they are numbers, none fails, and there is room
// for their results: the loop of makeLeft, with less in it. A cheap item takes 6 ns
// here, half of which is the claim, and 33 there.
func (s *series[In, Out]) makeNumbers() {
	if s.args == nil || s.word == nil || s.kind != values {
		return
	}
	out, ok := codec.Room(s.out, s.bytes)
	if !ok {
		return
	}
	fn, ctx, args, size := s.fn, s.ctx, s.args, s.out.Size()
	items, bytes := s.items, len(s.bytes)
	for ; len(out) > 0 && !s.isOver.Load() && s.begin(s.i); s.i++ {
		value, err := fn(ctx, args[s.i])
		if err != nil {
			s.fail(err)
			s.i++
			return
		}
		out[0] = value
		out = out[1:]
		items, bytes = items+1, bytes+size
		s.items, s.bytes = items, s.bytes[:bytes]
		s.head.note(items, bytes)
	}
}

// makeOne makes an item that has begun.
func (s *series[In, Out]) makeOne() {
	in, err := s.argument()
	var value Out
	if err == nil {
		value, err = s.fn(s.ctx, in)
	}
	if err == nil {
		err = s.keep(&value)
	}
	if err != nil {
		s.fail(err)
	}
}

// argument decodes the argument of the next item.
func (s *series[In, Out]) argument() (in In, err error) {
	if s.args != nil {
		return s.args[s.i], nil
	}
	var item []byte
	if item, s.encoded, err = wire.CutItem(s.encoded, s.in.Size()); err == nil {
		err = s.in.DecodeTo(item, &in)
	}
	if err != nil {
		err = fmt.Errorf("executor: the argument of %s: %w", s.about_.name, err)
	}
	return in, err
}

// keep notes what an item returned.
func (s *series[In, Out]) keep(value *Out) error {
	if s.kind == values && s.hasRoom(s.out.Size()) {
		data, err := s.out.AppendAt(s.bytes, value)
		if err != nil {
			return err
		}
		s.bytes = data
		s.note()
		return nil
	}
	r := s.encode(*value, nil)
	s.outcome(r)
	if s.stops && r.kind == wentWrong {
		s.isOver.Store(true)
	}
	return nil
}

// fail notes the error of an item.
func (s *series[In, Out]) fail(err error) {
	var none Out
	s.outcome(s.encode(none, err))
	if s.stops {
		s.isOver.Store(true)
	}
}

// decoding is the items of a chunk as they are decoded, in the process that gets the
// results.
type decoding[In, Out any] struct {
	*registered[In, Out]
	data   []byte
	kind   resultKind
	out    []Out
	n      int                    // items so far
	failed func(i int, err error) // is told of each that has failed
}

// decodeMany decodes what came of some items of a chunk of calls of fn into out, and
// returns for how many there was something: less than len(out) if the chunk was to
// stop at an error, or at the end of its ctx. An item that failed is told to failed,
// also one whose unmarshaler panics or ends the goroutine.
func decodeMany[In, Out any](fn Func[In, Out], res result, out []Out, failed func(i int, err error)) (n int, err error) {
	r, err := find(fn)
	if err != nil {
		return 0, err
	}
	d := decoding[In, Out]{registered: r, data: res.data, kind: res.kind, out: out, failed: failed}
	switch res.kind {
	case wentWrong:
		return 0, remoteError(res.data)
	case values:
		if d.allAtOnce() {
			return d.n, nil
		}
	case outcomes:
	default:
		return 0, errMalformed(r.about_.name)
	}
	if r.out.Plain() {
		err = d.goOn()
		return d.n, err
	}
	for isOver := false; !isOver; {
		ended := contain(func() { err = d.goOn() })
		if isOver = ended == nil; !isOver {
			failed(d.n, fmt.Errorf("executor: the result of %s: its unmarshaler: %w", r.about_.name, ended))
			d.n++
		}
	}
	return d.n, err
}

// allAtOnce decodes numbers with one copy.
func (d *decoding[In, Out]) allAtOnce() bool {
	size := d.registered.out.Size()
	if size == 0 || len(d.data)%size != 0 || len(d.data)/size > len(d.out) || !d.registered.out.DecodeAll(d.data, d.out[:len(d.data)/size]) {
		return false
	}
	d.n = len(d.data) / size
	return true
}

// goOn decodes the items that are left.
func (d *decoding[In, Out]) goOn() error {
	for ; len(d.data) > 0; d.n++ {
		r, err := d.next()
		if err != nil || d.n == len(d.out) {
			return errMalformed(d.about_.name)
		}
		if err := d.decodePlain(r, &d.out[d.n]); err != nil {
			d.failed(d.n, err)
		}
	}
	return nil
}

// next takes off what came of the next item.
func (d *decoding[In, Out]) next() (r result, err error) {
	if d.kind == values {
		r.kind = returned
		r.data, d.data, err = wire.CutItem(d.data, d.registered.out.Size())
		return r, err
	}
	o, rest, err := wire.CutOutcome(d.data)
	d.data = rest
	return result{resultKind(o.Kind), o.Data}, err
}

package executor

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/gofutures/futures/executor/internal/codec"
	"github.com/gofutures/futures/executor/internal/items"
	"github.com/gofutures/futures/executor/internal/procpool"
	"github.com/gofutures/futures/executor/internal/wire"
)

// notes are what is noted of a chunk that is made.
type notes = procpool.Journal

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

func (r *registered[In, Out]) callItems(ctx context.Context, p request, n *notes) {
	s := &series[In, Out]{registered: r, notes: n, ctx: ctx, stops: p.stops, encoded: p.data}
	if r.out.Size() == 0 {
		n.TakeOutcomes()
	}
	s.args, _ = r.in.AliasAll(p.data)
	if len(s.args) != p.n {
		s.args = nil
	}
	if s.stops {
		defer context.AfterFunc(ctx, func() { s.isOver.Store(true) })()
	}
	_ = contain(func() { items.Each(s.makeLeft, s.passOver) }) // what comes of it is noted
}

// passOver notes that the item which was made has not returned.
func (s *series[In, Out]) passOver(recovered any) (goOn bool) {
	s.fail(caught(recovered))
	s.i++
	return true
}

// makeLeft makes the items that are left. callFirst knows its name.
func (s *series[In, Out]) makeLeft() {
	s.makeNumbers()
	for ; !s.isOver.Load() && s.Begin(s.i); s.i++ {
		s.makeOne()
	}
}

// makeNumbers makes items as long as they are numbers, none fails, and there is room
// for their results: the loop of makeLeft, with less in it. A cheap item takes 6 ns
// here, half of which is the claim, and 33 there.
func (s *series[In, Out]) makeNumbers() {
	noted, items, ok := s.Memory()
	if s.args == nil || !ok {
		return
	}
	out, ok := codec.Room(s.out, noted)
	if !ok {
		return
	}
	fn, ctx, args, size := s.fn, s.ctx, s.args, s.out.Size()
	bytes := len(noted)
	for ; len(out) > 0 && !s.isOver.Load() && s.Begin(s.i); s.i++ {
		value, err := fn(ctx, args[s.i])
		if err != nil {
			s.fail(err)
			s.i++
			return
		}
		out[0] = value
		out = out[1:]
		items, bytes = items+1, bytes+size
		s.Wrote(items, bytes)
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
	if noted, ok := s.Room(s.out.Size()); ok {
		data, err := s.out.AppendAt(noted, value)
		if err != nil {
			return err
		}
		s.Value(data)
		return nil
	}
	r := s.encode(*value, nil)
	s.outcome(r)
	if s.stops && r.Kind == procpool.Failed {
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

// outcome notes what came of the next item.
func (s *series[In, Out]) outcome(r reply) {
	if len(r.Data) > procpool.MaxData {
		r = failure(fmt.Errorf("executor: a result has %d bytes; the limit is %d", len(r.Data), procpool.MaxData), "")
	}
	s.Outcome(r)
}

// decoding is the items of a chunk as they are decoded, in the process that gets the
// results.
type decoding[In, Out any] struct {
	*registered[In, Out]
	data   []byte
	kind   procpool.Kind
	out    []Out
	n      int                    // items so far
	failed func(i int, err error) // is told of each that has failed
}

// decodeMany decodes what came of some items of a chunk of calls of fn into out, and
// returns for how many there was something: less than len(out) if the chunk was to
// stop at an error, or at the end of its ctx. An item that failed is told to failed,
// also one whose unmarshaler panics or ends the goroutine.
func decodeMany[In, Out any](fn Func[In, Out], res reply, out []Out, failed func(i int, err error)) (n int, err error) {
	r, err := find(fn)
	if err != nil {
		return 0, err
	}
	d := decoding[In, Out]{registered: r, data: res.Data, kind: res.Kind, out: out, failed: failed}
	switch res.Kind {
	case procpool.Values:
		if d.allAtOnce() {
			return d.n, nil
		}
	case procpool.Outcomes:
	default:
		return 0, errMalformed(r.about_.name)
	}
	if r.out.Plain() {
		err = d.goOn()
		return d.n, err
	}
	_ = contain(func() { items.Each(func() { err = d.goOn() }, d.passOver) })
	return d.n, err
}

// passOver says that the unmarshaler of the item which was decoded has not returned.
func (d *decoding[In, Out]) passOver(recovered any) (goOn bool) {
	d.failed(d.n, fmt.Errorf("executor: the result of %s: its unmarshaler: %w", d.about_.name, caught(recovered)))
	d.n++
	return true
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
func (d *decoding[In, Out]) next() (r reply, err error) {
	if d.kind == procpool.Values {
		r.Kind = procpool.Returned
		r.Data, d.data, err = wire.CutItem(d.data, d.registered.out.Size())
		return r, err
	}
	o, rest, err := wire.CutOutcome(d.data)
	d.data = rest
	return reply{Kind: procpool.Kind(o.Kind), Data: o.Data}, err
}

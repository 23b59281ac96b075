package executor

import (
	"context"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// MapSlice calls fn on ex for each element of in and returns the results in
// order: the bulk form of [Map], for input that is all there, at a few
// nanoseconds for an element. It answers to multiprocessing's Pool.map.
//
// If elements fail, MapSlice returns nil and the error of the lowest index,
// the one that a plain loop would have met first: what comes after a failed
// element is not started, or sees its ctx end, and what comes before it is
// finished. If ctx ends first, the error matches ctx's. In either case MapSlice
// returns when the elements that run have returned.
//
// The elements are handed out in chunks to as many calls as ex has Workers,
// first long ones, then shorter ones, so that the calls end together, whatever
// each element costs. ChunkSize sets a fixed length.
func MapSlice[In, Out any](ctx context.Context, ex Executor, fn Func[In, Out], in []In, opts ...MapOption) ([]Out, error) {
	o := newMapOptions(opts)
	if err := o.check("MapSlice", ctx, ex, fn == nil); err != nil {
		return nil, err
	}
	workers := ex.Workers()
	b := &bulk[In, Out]{fn: fn, in: in, out: make([]Out, len(in)), chunk: o.chunk, width: max(1, workers)}
	b.runners = b.few[:0]
	b.stopAt.Store(math.MaxInt64)
	forever := ctx // runners write to out until they have ended
	if ctx.Done() != nil {
		if len(in) > 1 { // else there is nothing left to stop when one has begun
			defer context.AfterFunc(ctx, b.stop)()
		}
		b.endless.Context = ctx
		forever = &b.endless
	}
	n := len(in)
	if workers > 0 {
		n = min(n, workers)
	} else {
		b.width = n
	}
	for i := 0; i < n; i++ {
		if b.submit(ctx, ex); i == 0 && b.remote.Load() {
			n = 2 * n // the next chunk is there when a worker has made one
		}
	}
	out, err := b.wait(forever, ctx, ex)
	b.fn, b.in, b.out = nil, nil, nil // a queue may hold a runner that was cancelled
	return out, err
}

// bulk is what the runners of a MapSlice share.
type bulk[In, Out any] struct {
	fn      Func[In, Out]
	in      []In
	out     []Out
	chunk   int // 0: guided
	width   int // runners that run at once
	runners []*bulkRunner[In, Out]
	few     [2]*bulkRunner[In, Out] // the memory of runners, if there are no more
	first   bulkRunner[In, Out]     // the first of them
	endless endless                 // to wait for them with, if ctx ends
	remote  atomic.Bool             // the runners run in other processes, one chunk each
	began   time.Time               // when the first chunk for one was formed

	next   atomic.Int64 // the first element that no runner has taken
	made   atomic.Int64 // elements that have returned without an error
	stopAt atomic.Int64 // elements from here on do not start

	mu   sync.Mutex // guards err, back and, when one has been submitted, the list of runners, and is held to change stopAt
	err  error      // of the element stopAt
	back [][2]int   // chunks, or what was left of them, that were taken and not made
}

// bulkRunner is a call that makes one chunk after another, or a single one if
// it is made in another process.
type bulkRunner[In, Out any] struct {
	Future[struct{}]
	bulk   *bulk[In, Out]
	lo     atomic.Int64 // where its chunk begins
	hi     int          // where it ends, if it was sent
	isSent bool
	isOut  atomic.Bool // its executor has it
}

// add adds a runner.
func (b *bulk[In, Out]) add() *bulkRunner[In, Out] {
	if len(b.runners) == 0 { // and nobody looks at them yet
		b.first.bulk = b
		b.runners = append(b.runners, &b.first)
		return &b.first
	}
	r := &bulkRunner[In, Out]{bulk: b}
	b.mu.Lock()
	b.runners = append(b.runners, r)
	b.mu.Unlock()
	return r
}

func (b *bulk[In, Out]) submit(ctx context.Context, ex Executor) {
	r := b.add()
	submit(ctx, ex, r, &r.call, false)
	r.isOut.Store(true)
	if b.stopAt.Load() < math.MaxInt64 && b.isLate(r) { // fail has not seen that it is out
		r.end()
	}
}

// isLate reports whether r runs behind an element that has failed.
func (b *bulk[In, Out]) isLate(r *bulkRunner[In, Out]) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err != nil && r.lo.Load() > b.stopAt.Load() && !r.call.ended()
}

// wait waits for the runners and returns what they have made.
func (b *bulk[In, Out]) wait(forever, ctx context.Context, ex Executor) ([]Out, error) {
	var refusal error
	if b.remote.Load() {
		refusal = b.waitForChunks(forever, ctx, ex)
	} else {
		refusal = b.waitForAll(forever)
	}
	switch {
	case b.err != nil:
		return nil, b.err
	case b.made.Load() == int64(len(b.in)):
		return b.out, nil
	case ctx.Err() != nil:
		return nil, endedBy(ctx, ErrCancelled, "MapSlice")
	case refusal == nil: // Shutdown ended the runners
		refusal = ErrShutdown
	}
	return nil, refusal
}

// waitForAll waits for runners that take one chunk after another. When the first
// has ended, nothing is left for one that has not begun.
func (b *bulk[In, Out]) waitForAll(forever context.Context) (refusal error) {
	for i, r := range b.runners {
		if i > 0 {
			r.call.drop(cancelled)
		}
		if _, err := r.Result(forever); i == 0 {
			refusal = err
		}
	}
	return refusal
}

// waitForChunks waits for runners that make one chunk each. When any has ended,
// the next is submitted.
func (b *bulk[In, Out]) waitForChunks(forever, ctx context.Context, ex Executor) (refusal error) {
	a := newArrivals()
	for i, r := range b.runners {
		r.attach(a, i)
	}
	for left := len(b.runners); left > 0; {
		come, err := a.next(forever)
		if err != nil {
			return err // forever does not end
		}
		left -= len(come)
		for _, i := range come {
			r := b.runners[i]
			if err := r.err(); err != nil && r.isSent {
				b.fail(int(r.lo.Load()), err)
			} else if err != nil && refusal == nil {
				refusal = err
			}
			if r.isSent && b.isLeft() {
				b.submit(ctx, ex)
				b.runners[len(b.runners)-1].attach(a, len(b.runners)-1)
				left++
			}
		}
	}
	return refusal
}

// isLeft reports whether there are elements to make that no runner has.
func (b *bulk[In, Out]) isLeft() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	stopAt := b.stopAt.Load()
	for _, c := range b.back {
		if int64(c[0]) < stopAt {
			return true
		}
	}
	next := b.next.Load()
	return next < int64(len(b.in)) && next < stopAt
}

// stop starts no more elements.
func (b *bulk[In, Out]) stop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stopAt.Store(-1)
}

// fail says that element i failed. What comes after it is ended.
func (b *bulk[In, Out]) fail(i int, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if int64(i) >= b.stopAt.Load() {
		return
	}
	b.stopAt.Store(int64(i))
	b.err = err
	for _, r := range b.runners {
		if r.isOut.Load() && r.lo.Load() > int64(i) && !r.call.ended() {
			go r.end() // the ctx may have callbacks, which b.mu must not wait for
		}
	}
}

// end ends a chunk that nobody needs any more.
func (r *bulkRunner[In, Out]) end() {
	if !r.isSent || !r.call.drop(cancelled) {
		r.call.interrupt(ErrCancelled)
	}
}

// take returns the next chunk for r, an empty one if there is none.
func (b *bulk[In, Out]) take(r *bulkRunner[In, Out]) (lo, hi int) {
	for {
		next := b.next.Load()
		left := int64(len(b.in)) - next
		n := int64(b.chunk)
		if n == 0 {
			// Guided: a quarter of a fair share of what is left.
			n = max(1, left/int64(4*b.width), b.leastChunk())
		}
		n = min(n, left)
		if n <= 0 || next >= b.stopAt.Load() {
			return 0, 0
		}
		if b.next.CompareAndSwap(next, next+n) {
			r.lo.Store(next)
			return int(next), int(next + n)
		}
	}
}

// leastChunk returns how many elements another process makes in the time that
// makes a chunk worth its way: in much shorter ones, the way is what takes time.
func (b *bulk[In, Out]) leastChunk() int64 {
	const worth = 500 * time.Microsecond
	made := b.made.Load()
	if made == 0 || !b.remote.Load() {
		return 1
	}
	each := max(1, int64(time.Since(b.began))*int64(b.width)/made)
	return int64(worth) / each
}

// never says that an executor which cannot tell has not ended what runs.
var never atomic.Bool

// run makes one chunk after another until none is left or an element fails.
func (r *bulkRunner[In, Out]) run(ctx context.Context) {
	b, killed := r.bulk, &never
	if in := r.call.intake(); in != nil {
		killed = &in.killed
	}
	made, lo, i, hi := 0, 0, 0, 0
	var err error
	defer func() {
		b.made.Add(int64(made + i - lo))
		if i < hi {
			if err == nil {
				err = caught(recover())
			}
			r.call.fail(err)
			b.fail(i, err)
		}
	}()
	for {
		made += i - lo
		lo, hi = b.take(r)
		if i = lo; lo == hi {
			return
		}
		in, out, fn := b.in[:hi], b.out[:hi], b.fn
		for ; i < hi; i++ {
			if killed.Load() {
				b.stop()
			}
			if int64(i) >= b.stopAt.Load() {
				hi = i
				return
			}
			value, e := fn(ctx, in[i])
			if e != nil {
				err = e
				return
			}
			out[i] = value
		}
	}
}

func (r *bulkRunner[In, Out]) forget()      { r.bulk = nil }
func (r *bulkRunner[In, Out]) name() string { return funcName(r.bulk.fn) }

// largestChunk is how many bytes a chunk for another process has at most, if it
// has more than one element.
const largestChunk = 1 << 20

func (r *bulkRunner[In, Out]) encode() (parcel, error) {
	b := r.bulk
	if !b.remote.Load() {
		b.began = time.Now()
		b.remote.Store(true)
	}
	lo, hi := b.takeBack(r)
	if lo == hi {
		lo, hi = b.take(r)
	}
	if lo == hi {
		return parcel{}, errNothingToDo
	}
	p, err := encodeMany(b.fn, b.in[lo:hi], largestChunk, func(i int, err error) (goOn bool) {
		b.fail(lo+i, err)
		return false
	})
	p.stops = true
	r.isSent, r.hi = true, lo+p.n
	if r.hi < hi && err == nil {
		b.mu.Lock()
		b.back = append(b.back, [2]int{r.hi, hi})
		b.mu.Unlock()
	}
	if err == nil && p.n == 0 {
		err = errNothingToDo
	}
	return p, err
}

// takeBack returns a chunk of those that were taken and not made, an empty one
// if there is none.
func (b *bulk[In, Out]) takeBack(r *bulkRunner[In, Out]) (lo, hi int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := len(b.back)
	if n == 0 {
		return 0, 0
	}
	lo, hi = b.back[n-1][0], b.back[n-1][1]
	b.back = b.back[:n-1]
	if int64(lo) >= b.stopAt.Load() {
		return 0, 0
	}
	r.lo.Store(int64(lo))
	return lo, hi
}

func (r *bulkRunner[In, Out]) complete(res result) {
	b, lo, failed := r.bulk, int(r.lo.Load()), 0
	n, err := decodeMany(b.fn, res, b.out[lo:r.hi], func(i int, err error) {
		failed++
		b.fail(lo+i, err)
	})
	if err != nil {
		r.call.fail(err)
	}
	b.made.Add(int64(n - failed))
}

package executor

import (
	"cmp"
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
// each element costs; where elements take nanoseconds, chunks are not shorter than
// half a microsecond. ChunkSize sets a fixed length.
//
// On a [ThreadPoolExecutor], a map leaves room for others: a call that is queued
// beside it starts when one of the elements that run has returned, and two maps share
// the workers. Elements that are made one after another share a goroutine, so a
// function that locks its thread unlocks it.
func MapSlice[In, Out any](ctx context.Context, ex Executor, fn Func[In, Out], in []In, opts ...MapOption) ([]Out, error) {
	o := newMapOptions(opts)
	if err := o.check("MapSlice", ctx, ex, fn == nil); err != nil {
		return nil, err
	}
	workers := min(ex.Workers(), max(1, len(in))) // more have nothing to do
	b := &bulk[In, Out]{fn: fn, in: in, out: make([]Out, len(in)), chunk: o.chunk, width: max(1, workers), doing: cmp.Or(o.doing, "executor: MapSlice")}
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
	h, isHere := b.startHere(forever, ctx, ex)
	for i := len(b.runners); i < n; i++ {
		if b.submit(ctx, ex); i == 0 && b.remote.Load() {
			n = 2 * n // the next chunk is there when a worker has made one
		}
	}
	if isHere {
		h.run(&b.first.call)
	}
	out, err := b.wait(forever, ctx, ex)
	b.fn, b.in, b.out = nil, nil, nil // a queue may hold a runner that was cancelled
	return out, err
}

// bulk is what the runners of a MapSlice share.
type bulk[In, Out any] struct {
	// What is read for each element is apart from next and made, which are written
	// for each chunk.
	fn     Func[In, Out]
	in     []In
	out    []Out
	stopAt atomic.Int64 // elements from here on do not start
	chunk  int          // 0: guided
	width  int          // runners that run at once
	doing  string       // what the user called

	runners []*bulkRunner[In, Out]
	few     [2]*bulkRunner[In, Out] // the memory of runners, if there are no more
	first   bulkRunner[In, Out]     // the first of them
	endless endless                 // to wait for them with, if ctx ends
	remote  atomic.Bool             // the runners run in other processes, one chunk each
	hasBack atomic.Bool             // there is something in back that a runner has left that stepped aside
	began   time.Time               // when the first chunk for one was formed

	next atomic.Int64 // the first element that no runner has taken
	made atomic.Int64 // elements that have returned without an error

	mu   sync.Mutex // guards err, back and the list of runners, and is held to change stopAt
	err  error      // of the element stopAt
	back [][2]int   // chunks, or what was left of them, that were taken and not made
}

// bulkRunner is a call that makes one chunk after another, or a single one if
// it is made in another process.
type bulkRunner[In, Out any] struct {
	Future[struct{}]
	bulk   *bulk[In, Out]
	lo     atomic.Int64 // where its chunk begins
	bound  atomic.Int64 // elements of its chunk from here on do not start
	at     int          // the element that it makes
	hi     int          // where its chunk ends, if it was sent
	isSent bool
	isOut  atomic.Bool // its executor has it
	asked  atomic.Bool // it is to step aside
	mortal mortal
}

// add adds a runner, b.first if it is the first.
func (b *bulk[In, Out]) add() *bulkRunner[In, Out] {
	r := &b.first
	if len(b.runners) > 0 {
		r = new(bulkRunner[In, Out])
	}
	r.bulk = b
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

// startHere starts the first runner on this goroutine, if that may make it: it waits
// for it with forever.
func (b *bulk[In, Out]) startHere(forever, ctx context.Context, ex Executor) (h helper, isHere bool) {
	e, isPool := ex.(*ThreadPoolExecutor)
	if !isPool || e == nil || len(b.in) == 0 || ctx.Err() != nil {
		return h, false
	}
	h, mayHelp := e.helper(forever)
	if !mayHelp {
		return h, false
	}
	c := &b.first.call
	b.first.bulk, c.body = b, &b.first
	c.route.Store(e.intake.route(ctx))
	if !h.beginNew(c) {
		return h, false
	}
	b.add()
	b.first.isOut.Store(true)
	return h, true
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
		return nil, Ended(ctx, b.doing, b.err)
	case b.made.Load() == int64(len(b.in)):
		return b.out, nil
	case ctx.Err() != nil:
		return nil, Ended(ctx, b.doing, ctx.Err())
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
	b.stopBefore(-1)
	for _, r := range b.runners {
		if in := r.call.intake(); in != nil && in.pool != nil {
			in.pool.release(b)
			return
		}
	}
}

// stopBefore starts no element from i on. b.mu is held.
func (b *bulk[In, Out]) stopBefore(i int64) {
	b.stopAt.Store(i)
	for _, r := range b.runners {
		r.endBefore(i)
	}
}

// fail says that element i failed. What comes after it is ended.
func (b *bulk[In, Out]) fail(i int, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if int64(i) >= b.stopAt.Load() {
		return
	}
	b.stopBefore(int64(i))
	b.err = err
	for _, r := range b.runners {
		switch {
		case !r.isOut.Load() || r.call.ended():
		case r.lo.Load() > int64(i):
			go r.end() // the ctx may have callbacks, which b.mu must not wait for
		case r.isSent && i < r.hi-1:
			go r.endBehind(i)
		}
	}
}

// end ends a chunk that nobody needs any more.
func (r *bulkRunner[In, Out]) end() {
	if !r.isSent || !r.call.drop(cancelled) {
		r.call.interrupt(ErrCancelled)
	}
}

// take returns the next chunk for r, an empty one if there is none. least is how many
// elements make one worth taking.
func (b *bulk[In, Out]) take(r *bulkRunner[In, Out], least int64) (lo, hi int) {
	for b.hasBack.Load() {
		lo, hi = b.takeBack(r)
		b.mu.Lock()
		b.hasBack.Store(len(b.back) > 0)
		b.mu.Unlock()
		if lo < hi {
			return lo, hi
		}
	}
	for {
		next := b.next.Load()
		left := int64(len(b.in)) - next
		n := int64(b.chunk)
		if n == 0 {
			n = b.guided(left, least)
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

// guided is a quarter of a fair share of what is left, so that the runners end together
// whatever an element costs. If that is not worth taking, it is more, up to two shares:
// that elements cost more than those before them can then not take more than twice as
// long.
func (b *bulk[In, Out]) guided(left, least int64) int64 {
	share := left / int64(b.width)
	return max(1, share/4, min(least, 2*share), b.leastChunk())
}

// isAllTaken reports whether no element is left to take.
func (b *bulk[In, Out]) isAllTaken() bool {
	return b.next.Load() >= int64(len(b.in)) && !b.hasBack.Load()
}

// giveBack lets the other runners have what is left of a chunk.
func (b *bulk[In, Out]) giveBack(lo, hi int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.back = append(b.back, [2]int{lo, hi})
	b.hasBack.Store(true)
}

// stopwatch says what is worth taking, by the time that the chunk before took. To look
// at the clock may cost more than a short chunk, so it does not for the first.
type stopwatch struct {
	at time.Duration // since epoch, when the chunk began; 0 for the first
}

var epoch = time.Now()

// worthTaking is called when a chunk of n elements was made, and returns how many make
// one that takes half a microsecond. In shorter ones, taking them is what takes time:
// 92 ns on two cores, where a short element takes 3.
func (w *stopwatch) worthTaking(n int) int64 {
	const worth = 500 * time.Nanosecond
	now := time.Since(epoch)
	took, isFirst := now-w.at, w.at == 0
	w.at = now
	if isFirst || took <= 0 {
		return 1
	}
	return int64(n) * int64(worth) / int64(took)
}

// leastChunk returns how many elements another process makes in the time that
// makes a chunk worth its way: in much shorter ones, the way is what takes time.
func (b *bulk[In, Out]) leastChunk() int64 {
	const worth = 500 * time.Microsecond
	made := b.made.Load()
	if made == 0 || !b.remote.Load() {
		return 1
	}
	each := float64(time.Since(b.began)) * float64(b.width) / float64(made)
	return int64(float64(worth) / max(1, each))
}

// run makes one chunk after another until none is left or an element fails.
func (r *bulkRunner[In, Out]) run(ctx context.Context) {
	b := r.bulk
	if in := r.call.intake(); in != nil && len(b.in) > 1 {
		r.mortal.killer = r
		if in.pool != nil {
			in.pool.join(&r.mortal)
			defer in.pool.part(&r.mortal, b)
		} else {
			in.enroll(&r.mortal)
			defer in.strike(&r.mortal)
		}
	}
	made, lo, hi, returned := 0, 0, 0, true
	var err error
	defer func() { // deferred, because the function may panic or end this goroutine
		b.made.Add(int64(made + r.at - lo))
		if !returned {
			err = caught(recover())
		}
		if err != nil {
			r.call.fail(err)
			b.fail(r.at, err)
		}
	}()
	least, watch := int64(1), stopwatch{}
	for {
		if r.asked.Load() && !r.stepAside() {
			return
		}
		lo, hi = b.take(r, least)
		r.at = lo
		if lo == hi {
			return
		}
		returned = false
		err = r.makeChunk(ctx, lo, hi)
		returned = true
		if r.at < hi {
			if err != nil || !r.asked.Load() {
				return
			}
			b.giveBack(r.at, hi)
			made, hi = made+r.at-lo, r.at
			lo = hi
			continue
		}
		made, r.at = made+hi-lo, lo
		if b.isAllTaken() {
			return
		}
		if b.chunk == 0 {
			least = watch.worthTaking(hi - lo)
		}
	}
}

// makeChunk makes elements from lo to hi, one after another, until one fails. r.at is
// the one that it has come to.
//
// There is little in it, and nothing that a deferred function would see: all that a
// loop with a call in it uses is written to memory and read again for each element.
func (r *bulkRunner[In, Out]) makeChunk(ctx context.Context, lo, hi int) error {
	r.bound.Store(int64(hi))
	r.endBefore(r.bulk.stopAt.Load())
	if r.asked.Load() {
		r.endBefore(-1)
	}
	fn, in, out := r.bulk.fn, r.bulk.in, r.bulk.out
	out = out[:len(in)]
	i := lo
	for ; int64(i) < r.bound.Load(); i++ {
		r.at = i
		value, err := fn(ctx, in[i])
		if err != nil {
			return err
		}
		out[i] = value
	}
	r.at = i
	return nil
}

// ask lets r step aside before its next element.
func (r *bulkRunner[In, Out]) ask() {
	r.asked.Store(true)
	r.endBefore(-1)
}

// stepAside lets others have the place of r for a while, if they wait for one. It
// returns false if nothing is left to make when it comes back.
func (r *bulkRunner[In, Out]) stepAside() (goOn bool) {
	e, p := r.call.intake().pool, r.call.place()
	back := e.stepAside(p, &r.asked, r.bulk)
	for {
		<-back
		if e.isBack(p, &r.asked) {
			return true
		}
		if !r.bulk.isLeft() {
			return false
		}
		back = e.waitAside(p, r.bulk) // another runner has stepped aside meanwhile, and left it something
	}
}

// kill starts no more elements.
func (r *bulkRunner[In, Out]) kill(error) { r.bulk.stop() }

// endBefore starts no element from i on in the chunk that r makes.
func (r *bulkRunner[In, Out]) endBefore(i int64) {
	for {
		bound := r.bound.Load()
		if bound <= i || r.bound.CompareAndSwap(bound, i) {
			return
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
		lo, hi = b.take(r, 1)
	}
	if lo == hi {
		return parcel{}, errNothingToDo
	}
	p, err := encodeMany(b.fn, b.in[lo:hi], largestChunk, func(i int, err error) (goOn bool) {
		b.fail(lo+i, err)
		return false
	})
	p.stops, p.kin = true, b
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

func (r *bulkRunner[In, Out]) complete(from, n int, res result) error {
	b, lo, hi, failed := r.bulk, int(r.lo.Load())+from, r.hi, 0
	if n != allItems {
		hi = lo + n
	}
	made, err := decodeMany(b.fn, res, b.out[lo:hi], func(i int, err error) {
		failed++
		b.fail(lo+i, err)
	})
	b.made.Add(int64(made - failed))
	if err == nil && n != allItems && made < n {
		err = errMalformed(r.name())
	}
	if err != nil {
		return r.lose(from+made, n, err)
	}
	return nil
}

func (r *bulkRunner[In, Out]) lose(from, _ int, err error) error {
	r.bulk.fail(int(r.lo.Load())+from, err)
	return nil
}

// endBehind ends what other workers make of the chunk behind element i.
func (r *bulkRunner[In, Out]) endBehind(i int) {
	if in := r.call.intake(); in != nil && in.processes != nil {
		in.processes.endBehind(&r.call, i-int(r.lo.Load()))
	}
}

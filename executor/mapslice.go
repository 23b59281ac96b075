package executor

import (
	"cmp"
	"context"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gofutures/futures/executor/internal/items"
)

// MapSlice calls fn on ex for each element of in and returns the results in
// order: the bulk form of [Map], for input that is all there, at a few
// nanoseconds for an element. It answers to multiprocessing's Pool.map.
//
// If elements fail, MapSlice returns nil and the error of the lowest index,
// the one that a plain loop would have met first: what comes after a failed
// element is not started, or sees its ctx end, and what comes before it is
// finished. With [CollectErrors], all are made. If ctx ends first, the error matches
// ctx's; if the executor is shut down meanwhile, and elements are left that have not
// started, it matches [ErrCancelled]. In any case MapSlice returns when the elements that
// run have returned.
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
	b := &bulk[In, Out]{fn: fn, in: in, out: make([]Out, len(in)), chunk: o.chunk, width: max(1, workers)}
	b.runners = b.few[:0]
	if o.collects {
		b.failures = new(ItemErrors)
	}
	b.stopAt.Store(math.MaxInt64)
	if s, isStoppable := ctx.(stoppable); isStoppable {
		ctx, b.under = s.Inside(), s
		s.Begin(b)
		defer s.End()
	}
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
	refusal := b.wait(forever, ctx, ex)
	out, err := b.outcome(b.ended(ctx), cmp.Or(o.doing, "executor: MapSlice"), refusal)
	b.forget()
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
	under  stoppable    // which may call Terminate; nil if nothing does

	runners []*bulkRunner[In, Out]
	few     [2]*bulkRunner[In, Out] // the memory of runners, if there are no more
	first   bulkRunner[In, Out]     // the first of them
	endless endless                 // to wait for them with, if ctx ends
	remote  atomic.Bool             // the runners run in other processes, one chunk each
	hasBack atomic.Bool             // there is something in back that a runner has left that stepped aside
	began   time.Duration           // since epoch, when the first chunk for one was formed

	next atomic.Int64 // the first element that no runner has taken
	made atomic.Int64 // elements that have returned without an error, or with one of failures

	mu       sync.Mutex  // guards the fields below and the list of runners, and is held to change stopAt
	err      error       // of the element stopAt
	failures *ItemErrors // in any order; nil: one that fails ends the map
	back     [][2]int    // chunks, or what was left of them, that were taken and not made
}

// bulkRunner is a call that makes one chunk after another, or a single one if
// it is made in another process.
type bulkRunner[In, Out any] struct {
	Future[struct{}]
	bulk    *bulk[In, Out]
	lo      atomic.Int64 // where its chunk begins
	limit   atomic.Int64 // elements of its chunk from here on do not start
	at      int          // the element that it makes
	hi      int          // where its chunk ends
	made    int          // elements of its chunks that have returned without an error
	isSent  bool
	isOut   atomic.Bool // its executor has it
	asked   atomic.Bool // it is to step aside
	stopper stopper
}

func (b *bulk[In, Out]) add(r *bulkRunner[In, Out]) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.runners = append(b.runners, r)
}

// newRunner returns a runner that is yet to be added, b.first if it is the first.
func (b *bulk[In, Out]) newRunner() *bulkRunner[In, Out] {
	r := &b.first
	if len(b.runners) > 0 {
		r = new(bulkRunner[In, Out])
	}
	r.bulk = b
	return r
}

func (b *bulk[In, Out]) submit(ctx context.Context, ex Executor) {
	r := b.newRunner()
	if b.under == nil {
		b.add(r)
		submit(ctx, ex, r, &r.call, false)
	} else {
		b.submitStoppable(ctx, ex, r)
	}
	r.isOut.Store(true)
	if b.stopAt.Load() < math.MaxInt64 && b.isLate(r) { // fail has not seen that it is out
		r.end()
	}
}

// submitStoppable is submit for a runner that Terminate may cancel while its executor is
// asked: Execute may wait for room, or until the call has ended. A call that may be
// cancelled there cannot have the origin to the executor already, as with submit.
func (b *bulk[In, Out]) submitStoppable(ctx context.Context, ex Executor, r *bulkRunner[In, Out]) {
	c := &r.call
	c.body = r
	c.origin.Store(originFrom(ctx))
	b.add(r)
	switch {
	case ctx.Err() != nil:
		c.cancelAs(expired)
	case b.under.Cause() != nil: // Terminate has not seen it
		c.cancelAs(cancelled)
	default:
		c.HandOn(ctx, ex)
	}
}

// startHere starts the first runner on this goroutine, if that may make it: it waits
// for it with forever.
func (b *bulk[In, Out]) startHere(forever, ctx context.Context, ex Executor) (h helper, isHere bool) {
	e, mayBeHere := ex.(helpful)
	if !mayBeHere || len(b.in) == 0 || ctx.Err() != nil {
		return h, false
	}
	r := b.newRunner()
	r.call.body = r
	if h, isHere = e.beginHere(forever, ctx, &r.call); !isHere {
		return h, false
	}
	b.add(r) // Terminate may interrupt it now, and has no call to cancel
	r.isOut.Store(true)
	return h, true
}

// isLate reports whether r runs behind an element that has failed.
func (b *bulk[In, Out]) isLate(r *bulkRunner[In, Out]) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err != nil && r.lo.Load() > b.stopAt.Load() && !r.call.ended()
}

// wait waits for the runners, and returns why one was turned down, if one was.
func (b *bulk[In, Out]) wait(forever, ctx context.Context, ex Executor) (refusal error) {
	if b.remote.Load() {
		return b.waitForChunks(forever, ctx, ex)
	}
	return b.waitForAll(forever)
}

// outcome returns what came of the map, which is over, and was submitted with ctx.
func (b *bulk[In, Out]) outcome(ctx context.Context, doing string, refusal error) ([]Out, error) {
	switch {
	case b.err != nil:
		err := Ended(ctx, doing, b.err)
		see(err)
		return nil, err
	case b.made.Load() == int64(len(b.in)):
		return b.collected(ctx, doing)
	case ctx.Err() != nil:
		return nil, Ended(ctx, doing, ctx.Err())
	case refusal == nil || refusal == ErrShutdown && !b.runners[0].call.isTurnedAway():
		return nil, ErrCancelled // Shutdown has taken away what had not started
	}
	return nil, refusal
}

// collects reports whether an element that fails ends nothing but itself.
func (b *bulk[In, Out]) collects() bool { return b.failures != nil }

// collected returns what came of the elements, of which none is left.
func (b *bulk[In, Out]) collected(ctx context.Context, doing string) ([]Out, error) {
	if !b.collects() || len(*b.failures) == 0 {
		return b.out, nil
	}
	failures := *b.failures
	for _, failed := range failures {
		if comesOfEnd(ctx, failed.Err) {
			return nil, Ended(ctx, doing, failed.Err)
		}
	}
	slices.SortFunc(failures, func(a, b *ItemError) int { return a.Index - b.Index })
	see(failures)
	return b.out, failures
}

// waitForAll waits for runners that take one chunk after another. When the first
// has ended, nothing is left for one that has not begun.
func (b *bulk[In, Out]) waitForAll(forever context.Context) (refusal error) {
	for i, r := range b.runners {
		if i > 0 {
			r.call.cancelAs(cancelled)
		}
		if !r.call.ended() {
			_ = r.call.wait(forever, "MapSlice") // not Result, which would ask for the panic that it ended with
		}
		if i == 0 {
			refusal = r.err()
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
			if err := r.err(); err != nil && r.isSent && (!b.collects() || r.call.state.Load() == finished) {
				b.lose(int(r.lo.Load()), r.hi, err)
			} else if err != nil && refusal == nil {
				refusal = err
			}
			if r.isSent && refusal == nil && b.isLeft() {
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

// forget lets go of what is the user's: a queue may hold a runner that was cancelled.
func (b *bulk[In, Out]) forget() {
	b.fn, b.in, b.out, b.under, b.endless.Context, b.err, b.failures = nil, nil, nil, nil, nil, nil, nil
}

// Terminate ends the map: no more elements start, and those that run see their ctx end.
func (b *bulk[In, Out]) Terminate(cause error) {
	b.mu.Lock()
	runners := slices.Clone(b.runners)
	b.mu.Unlock()
	b.stop()
	for _, r := range runners {
		for c := &r.call; !c.ended() && !c.cancelAs(cancelled) && !c.interrupt(cause); {
		}
	}
}

// ended returns ctx, or one that has ended with the cause of Terminate if that has ended
// the map.
func (b *bulk[In, Out]) ended(ctx context.Context) context.Context {
	if b.under == nil || b.under.Cause() == nil {
		return ctx
	}
	ctx, end := context.WithCancelCause(ctx)
	end(b.under.Cause())
	return ctx
}

// stop starts no more elements.
func (b *bulk[In, Out]) stop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stopBefore(-1)
	for _, r := range b.runners {
		if r.call.tracker() != nil { // that of them all
			r.call.host().release(b)
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

// fail says that element i failed. What comes after it is ended, unless all errors are
// collected.
func (b *bulk[In, Out]) fail(i int, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.collects() {
		*b.failures = append(*b.failures, &ItemError{Index: i, Err: err})
		return
	}
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

// lose says that nothing came of the elements from lo to hi.
func (b *bulk[In, Out]) lose(lo, hi int, err error) {
	if !b.collects() { // the first ends the others
		b.fail(lo, err)
		return
	}
	for i := lo; i < hi; i++ {
		b.fail(i, err)
	}
	b.made.Add(int64(hi - lo))
}

// end ends a chunk that nobody needs any more.
func (r *bulkRunner[In, Out]) end() {
	if !r.isSent || !r.call.cancelAs(cancelled) {
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
	each := float64(time.Since(epoch)-b.began) * float64(b.width) / float64(made)
	return int64(float64(worth) / max(1, each))
}

// run makes one chunk after another until none is left, or an element fails whose error
// is not collected.
func (r *bulkRunner[In, Out]) run(ctx context.Context) {
	b := r.bulk
	if r.call.tracker() != nil && len(b.in) > 1 {
		r.stopper.endable = r
		h := r.call.host()
		h.join(&r.call, &r.stopper)
		defer h.part(&r.call, &r.stopper, b)
	}
	defer r.count() // deferred, because the function may end this goroutine
	items.Each(func() { r.makeChunks(ctx) }, func(recovered any) (goOn bool) {
		err := caught(recovered)
		arm(err)
		return r.fail(ctx, err)
	})
}

// makeChunks is run until an element panics or ends the goroutine.
func (r *bulkRunner[In, Out]) makeChunks(ctx context.Context) {
	b := r.bulk
	least, watch := int64(1), stopwatch{}
	for r.mayGoOn() {
		lo, hi := b.take(r, least)
		if lo == hi {
			return
		}
		r.at, r.hi = lo, hi
		if err := r.makeChunk(ctx, lo, hi); err != nil {
			if !r.fail(ctx, err) {
				return
			}
			least, watch = 1, stopwatch{}
			continue
		}
		r.made += r.at - lo
		switch {
		case r.at < hi && !r.asked.Load(): // nobody needs the others
			return
		case r.at < hi:
			b.giveBack(r.at, hi)
		case b.isAllTaken():
			return
		case b.chunk == 0:
			least = watch.worthTaking(hi - lo)
		}
	}
}

// mayGoOn steps aside if r is asked to, and reports whether something is left to make.
func (r *bulkRunner[In, Out]) mayGoOn() bool {
	b := r.bulk
	return !r.asked.Load() || r.call.host().stepAside(&r.call, &r.asked, b, b.isLeft)
}

// fail keeps the error of the element that r makes, and reports whether r goes on. What is
// behind the element in its chunk is left to whoever comes first.
func (r *bulkRunner[In, Out]) fail(ctx context.Context, err error) (goOn bool) {
	b := r.bulk
	r.made += r.at - int(r.lo.Load())
	if !b.collects() {
		r.call.fail(err)
		b.fail(r.at, err)
		return false
	}
	b.lose(r.at, r.at+1, err)
	if r.at+1 < r.hi {
		b.giveBack(r.at+1, r.hi)
	}
	if ctx.Err() != nil { // the error may come of that, before stop has heard of it
		b.stop()
	}
	return true
}

// count adds what r has made to what its map has.
func (r *bulkRunner[In, Out]) count() { r.bulk.made.Add(int64(r.made)) }

// makeChunk makes elements from lo to hi, one after another, until one fails. r.at is
// the one that it has come to.
//
// There is little in it, and nothing that a deferred function would see: all that a
// loop with a call in it uses is written to memory and read again for each element.
func (r *bulkRunner[In, Out]) makeChunk(ctx context.Context, lo, hi int) error {
	r.limit.Store(int64(hi))
	r.endBefore(r.bulk.stopAt.Load())
	if r.asked.Load() {
		r.endBefore(-1)
	}
	fn, in, out := r.bulk.fn, r.bulk.in, r.bulk.out
	out = out[:len(in)]
	i := lo
	for ; int64(i) < r.limit.Load(); i++ {
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

// stop starts no more elements.
func (r *bulkRunner[In, Out]) stop(error) { r.bulk.stop() }

// endBefore starts no element from i on in the chunk that r makes.
func (r *bulkRunner[In, Out]) endBefore(i int64) {
	for {
		limit := r.limit.Load()
		if limit <= i || r.limit.CompareAndSwap(limit, i) {
			return
		}
	}
}

func (r *bulkRunner[In, Out]) forget()      {} // its map forgets for all
func (r *bulkRunner[In, Out]) name() string { return funcName(r.bulk.fn) }

// largestChunk is how many bytes a chunk for another process has at most, if it
// has more than one element.
const largestChunk = 1 << 20

func (r *bulkRunner[In, Out]) encode() (request, error) {
	b := r.bulk
	if !b.remote.Load() {
		b.began = time.Since(epoch)
		b.remote.Store(true)
	}
	lo, hi := b.take(r, 1)
	if lo == hi {
		return request{}, errNothingToDo
	}
	left := lo
	p, err := encodeMany(b.fn, b.in[lo:hi], largestChunk, func(i int, err error) (goOn bool) {
		b.lose(lo+i, lo+i+1, err)
		left++
		return false
	})
	p.stops, p.kin = !b.collects(), b
	r.isSent, r.hi = true, lo+p.n
	if left += p.n; left < hi && err == nil {
		b.giveBack(left, hi)
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

func (r *bulkRunner[In, Out]) complete(from, n int, res reply) error {
	b, lo, hi, failed := r.bulk, int(r.lo.Load())+from, r.hi, 0
	if n != allItems {
		hi = lo + n
	}
	made, err := decodeMany(b.fn, res, b.out[lo:hi], func(i int, err error) {
		failed++
		arm(err)
		b.fail(lo+i, err)
	})
	if b.collects() {
		failed = 0
	}
	b.made.Add(int64(made - failed))
	if err == nil && (n != allItems || b.collects()) && lo+made < hi {
		err = errMalformed(r.name())
	}
	if err != nil {
		b.lose(lo+made, hi, err)
	}
	return nil
}

func (r *bulkRunner[In, Out]) lose(from, n int, err error) error {
	lo := int(r.lo.Load()) + from
	r.bulk.lose(lo, lo+n, err)
	return nil
}

// endBehind ends what other workers make of the chunk behind element i.
func (r *bulkRunner[In, Out]) endBehind(i int) {
	r.call.host().endBehind(&r.call, i-int(r.lo.Load()))
}

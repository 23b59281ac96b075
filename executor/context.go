package executor

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
	"weak"
)

// A function gets a ctx that ends in three cases: when the ctx of Submit ends, when
// Cancel asks the call to stop, and when Shutdown ends what runs. When the function has
// returned, Cancel and Shutdown cannot end it any more. But what the function returns may
// use it, so it goes on as the ctx of Submit does.
//
//  1. A function that does not look at Done gets a ctx that hands on that of Submit,
//     and nothing else is made.
//  2. The first look at Done makes a life (build): a cancel context of package context,
//     which is registered on the ctx of Submit, and which Cancel and Shutdown may end. So
//     does Cancel, of a call that runs.
//  3. When the call has ended, leaveLife ends a life that nobody has seen, and lets go of
//     others (release): only the ctx that the function was given holds it then, and through
//     that the ctxs derived from it. When these are collected, family.end ends the life, and
//     its registration goes. In a bubble of testing/synctest, it stays until the ctx of Submit
//     ends; in a worker process, the life ends with the call.
//
// The future and the ctx are two objects, because a finished future that is kept must
// not keep the ctx of Submit, and a ctx that is kept must. Where nothing of the user's
// could be kept, with context.Background, the call itself is the ctx, under another
// method set.
//
// So that this costs no second allocation for each call, a worker takes the ctxs of calls
// with one origin out of a block, of 1, then 4, then 16. The price: a ctx that is kept
// keeps the block, of 384 bytes at most. Its neighbours hold no call when theirs have
// returned, and nothing that the origin does not hold too, but for a life: when a function
// has looked at Done, its worker gives up the block and begins again with one. So a block
// has one life at most (but for a goroutine that asks for Done at the very moment at which
// the function returns), and a ctx whose function did not look at Done keeps, as long as
// somebody keeps it, at most one registration on the ctx of Submit that is not its own;
// where all functions look, each ctx is alone.
//
// A registration that follows a weak pointer would let a goroutine that has only the
// Done channel wait on. But a goroutine whose channel is reached by weak pointers only
// is marked as leaked when the profile "goroutineleak" of Go 1.27 is taken, and the
// program ends with a fatal error when it is woken afterwards.

// callContext is the ctx that a call gives its function.
type callContext struct {
	call atomic.Pointer[Call] // nil when the function has returned
	from *life                // that of its origin
	life atomic.Pointer[life] // what it hands on for good; nil: from, as long as nobody asks for Done
}

// rootContext is the ctx of a call that was submitted with context.Background, and of
// one that is made elsewhere.
type rootContext Call

// life is what the ctx of a call hands on.
type life struct {
	ctx     context.Context
	tracker *tracker               // whose labels it has too; nil if there are none
	lives   atomic.Pointer[family] // that were made from it; nil if none were that may have to be ended
}

// ownLife is the life of one call.
type ownLife struct {
	life
	cancel  context.CancelCauseFunc
	family  *family // nil if nothing is registered
	stopper stopper
	call    atomic.Pointer[Call] // nil when it has been left
	isShown atomic.Bool          // the function has seen its Done, or somebody it gave its ctx to
	isRoot  bool                 // of a rootContext
}

// family is what the lives of calls have in common that were submitted with one ctx: the
// ctx that they are derived from, and how those are ended that were let go. What a life
// registers on the ctx of Submit holds the family, and the family holds no ownLife.
type family struct {
	context.Context
	weakly weak.Pointer[family]

	mu   sync.Mutex // guards the fields below
	ends []context.CancelCauseFunc
	free []int // indexes of ends that are nil
}

// made returns the family of the lives that are made from l.
func (l *life) made() *family {
	if l.lives.Load() == nil {
		g := &family{Context: l.ctx}
		g.weakly = weak.Make(g)
		l.lives.CompareAndSwap(nil, g)
	}
	return l.lives.Load()
}

// AfterFunc is what package context asks a ctx that is not its own, instead of starting a
// goroutine.
func (g *family) AfterFunc(f func()) (stop func() bool) {
	if a, ok := g.Context.(interface{ AfterFunc(func()) func() bool }); ok {
		return a.AfterFunc(f)
	}
	return context.AfterFunc(g.Context, f)
}

// add keeps what ends a life, for end.
func (g *family) add(end context.CancelCauseFunc) (i int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if last := len(g.free) - 1; last >= 0 {
		i, g.free = g.free[last], g.free[:last]
		g.ends[i] = end
		return i
	}
	g.ends = append(g.ends, end)
	return len(g.ends) - 1
}

// end ends a life.
func (g *family) end(i int) {
	g.mu.Lock()
	end := g.ends[i]
	g.ends[i] = nil
	if g.free = append(g.free, i); len(g.free) == len(g.ends) {
		g.ends, g.free = nil, nil
	}
	g.mu.Unlock()
	end(nil)
}

func newOwnLife(from *life, isRoot bool) *ownLife {
	l := &ownLife{isRoot: isRoot, life: life{tracker: from.tracker}}
	parent := from.ctx
	if parent.Done() != nil {
		l.family = from.made()
		parent = l.family
	}
	l.ctx, l.cancel = context.WithCancelCause(parent)
	l.stopper.endable = l
	return l
}

// stop ends the life of a call that runs. That of one that has ended is its ctx's: it may
// not have been left yet.
func (l *ownLife) stop(cause error) {
	if c := l.call.Load(); c == nil || c.ended() {
		return
	}
	if l.family != nil && l.family.Err() != nil {
		cause = context.Cause(l.family) // the end of the ctx of Submit was first, and is on its way here
	}
	l.cancel(cause)
}

// ending is how a life is ended that is not there any more.
type ending struct {
	family weak.Pointer[family]
	index  int
}

// release ends the life, whose call has ended, when it is collected.
//
// The pointer is weak because the values of the ctx of Submit may lead to the life. It is
// to what all lives of that ctx share: to make a weak pointer for each took longer than
// all the rest, since the runtime walks along those in the same span.
func (l *ownLife) release() {
	if l.family == nil || l.ctx.Err() != nil || isInBubble() {
		return
	}
	runtime.AddCleanup(l, func(e ending) {
		if g := e.family.Value(); g != nil {
			g.end(e.index)
		}
	}, ending{l.family.weakly, l.family.add(l.cancel)})
}

// isInBubble reports whether the caller is in a bubble of testing/synctest, whose clock has
// no monotonic reading. It is over soon, and no goroutine from outside may close its
// channels: that would end the program.
func isInBubble() bool {
	now := time.Now()
	return now == now.Round(0)
}

// value is what a ctx that hands on l has for key.
func (l *life) value(key any) any {
	if v := l.ctx.Value(key); v != nil {
		return v
	}
	// pprof.Do adds to the labels of its ctx, and sets those again when it
	// returns: without this, a worker would lose its own.
	if l.tracker != nil && l.tracker.labels != nil {
		return l.tracker.labels.Value(key)
	}
	return nil
}

// callKey is the key under which the ctx of a call has the call: how a wait inside the
// function, with this ctx or one derived from it, finds the call that waits. See await.
type callKey struct{}

// callOf returns the running call whose ctx, or a ctx derived from it, ctx is. It
// returns nil for any other ctx. A call that has ended does not wait: its ctx is then
// like that of Submit, which may be the ctx of another call.
func callOf(ctx context.Context) *Call {
	c, _ := ctx.Value(callKey{}).(*Call)
	if c == nil || c.ended() {
		return nil
	}
	return c
}

// isOwn reports whether ctx is the very ctx of a call.
func isOwn(ctx context.Context) bool {
	switch ctx.(type) {
	case *callContext, *rootContext:
		return true
	}
	return false
}

// contexts makes the ctxs of the calls that a goroutine makes one after another. The
// zero value is ready to use.
type contexts struct {
	origin *origin       // of the last call
	free   []callContext // of its block
	size   int           // of that; 0: the next call is the first with this origin, or after a look at Done
}

// mostContexts is the size of the largest block.
const mostContexts = 16

// follow is called before each call.
func (s *contexts) follow(r *origin) {
	if s.origin != r {
		*s = contexts{origin: r} // what was left must not keep the ctx of another Submit
	}
}

// enter returns the ctx for the function of c, with what the origin hands on.
func (s *contexts) enter(c *Call) *callContext {
	cc := s.next()
	cc.from = &s.origin.life
	cc.call.Store(c)
	return cc
}

func (s *contexts) next() *callContext {
	if len(s.free) == 0 {
		if s.size == 0 {
			s.size = 1
			return s.origin.context()
		}
		s.size = min(4*s.size, mostContexts)
		s.free = make([]callContext, s.size)
	}
	cc := &s.free[0]
	s.free = s.free[1:]
	return cc
}

// context returns a ctx that is in no block.
func (r *origin) context() *callContext {
	if !r.hasFirst.Load() && r.hasFirst.CompareAndSwap(false, true) {
		return &r.first
	}
	return new(callContext)
}

// leave is called when the function of c, which had cc, has returned.
func (s *contexts) leave(c *Call, cc *callContext) {
	if cc.leave(c) {
		s.free, s.size = nil, 0
	}
}

// leave settles what cc hands on when c, whose it was, has returned. It reports whether c
// has a life.
func (cc *callContext) leave(c *Call) (hasLife bool) {
	l := c.ownLife()
	if l != nil && l.ctx.Err() != nil { // by Cancel, perhaps, and not seen yet
		cc.fix(&l.life)
	}
	cc.call.Store(nil)
	return l != nil
}

// now returns what cc hands on at this moment.
func (cc *callContext) now() *life {
	if l := cc.life.Load(); l != nil {
		return l
	}
	if c := cc.call.Load(); c != nil && c.isInterrupted() {
		return cc.settled()
	}
	return cc.from
}

// settled returns what cc hands on from now on.
func (cc *callContext) settled() *life {
	if l := cc.life.Load(); l != nil {
		return l
	}
	if c := cc.call.Load(); c != nil {
		return cc.fix(&c.build(cc.from, true, false).life)
	}
	return cc.fix(cc.from)
}

// fix makes l what cc hands on for good, unless something is.
func (cc *callContext) fix(l *life) *life {
	cc.life.CompareAndSwap(nil, l)
	return cc.life.Load()
}

func (cc *callContext) Done() <-chan struct{}       { return cc.settled().ctx.Done() }
func (cc *callContext) Err() error                  { return cc.now().ctx.Err() }
func (cc *callContext) Deadline() (time.Time, bool) { return cc.now().ctx.Deadline() }

func (cc *callContext) Value(key any) any {
	if key == (callKey{}) {
		if c := cc.call.Load(); c != nil && !c.ended() {
			return c
		}
	}
	return cc.now().value(key)
}

// String makes the ctx print as what it is: fmt would walk, and race with, the
// call behind it.
func (cc *callContext) String() string { return "executor.callContext" }

// now returns what rc hands on at this moment.
func (rc *rootContext) now() *life {
	c := (*Call)(rc)
	if c.isInterrupted() {
		return &c.build(&c.origin.Load().life, false, true).life
	}
	if l := c.ownLife(); l != nil {
		return &l.life
	}
	if c.ended() && c.isBrief() {
		return &over
	}
	return &c.origin.Load().life
}

// over is the life of a call that is over with its function.
var over = life{ctx: func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()}

func (rc *rootContext) Done() <-chan struct{} {
	c := (*Call)(rc)
	if !c.ended() {
		return c.build(&c.origin.Load().life, true, true).ctx.Done()
	}
	return rc.now().ctx.Done()
}

func (rc *rootContext) Err() error                  { return rc.now().ctx.Err() }
func (rc *rootContext) Deadline() (time.Time, bool) { return rc.now().ctx.Deadline() }
func (rc *rootContext) String() string              { return "executor.callContext" }

func (rc *rootContext) Value(key any) any {
	if c := (*Call)(rc); key == (callKey{}) && !c.ended() {
		return c
	}
	return rc.now().value(key)
}

// isInterrupted reports whether the ctx of a running call has ended, or is to, by
// something else than the end of the ctx of Submit.
func (c *Call) isInterrupted() bool {
	if in := c.tracker(); in != nil && in.isStopped.Load() {
		return !c.ended()
	}
	l := c.ownLife()
	return l != nil && l.ctx.Err() != nil
}

// isBrief reports whether the ctx of c ends when c does.
func (c *Call) isBrief() bool { return c.origin.Load().isBrief }

// ownLife returns the life of a call that has not ended, nil if it has none.
func (c *Call) ownLife() *ownLife {
	x := c.cold.Load()
	if x == nil {
		return nil
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.rare == nil {
		return nil
	}
	return x.rare.life
}

// build returns the life of c, and makes one from another if there is none. isShown says
// that the function will see its Done.
func (c *Call) build(from *life, isShown, isRoot bool) *ownLife {
	x := c.coldPart()
	if l := x.showLife(isShown); l != nil {
		return l
	}
	l := newOwnLife(from, isRoot) // not under a lock: ctx may be anybody's
	l.call.Store(c)
	switch kept, isLate := x.keepLife(l, isShown); {
	case kept != l:
		l.cancel(nil)
		return kept
	case isLate:
		c.leaveLife(l)
		return l
	}
	in := c.tracker()
	if in != nil {
		in.addStopper(&l.stopper)
	}
	x.recheck(c)
	if in != nil && c.ended() {
		in.removeStopper(&l.stopper) // end may have been here before addStopper
	}
	return l
}

// showLife returns the life of the call, nil if it has none.
func (x *cold) showLife(isShown bool) *ownLife {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.rare == nil || x.rare.life == nil {
		return nil
	}
	x.rare.life.show(isShown)
	return x.rare.life
}

// show says whether somebody sees the Done of the life.
func (l *ownLife) show(isShown bool) {
	if isShown {
		l.isShown.Store(true)
	}
}

// keepLife makes l the life of the call, unless it has one. isLate says that end has been
// here, and will not see it.
func (x *cold) keepLife(l *ownLife, isShown bool) (kept *ownLife, isLate bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	r := x.rarePart()
	if r.life == nil && (!x.over || l.isRoot && isShown) {
		r.life = l
	} else if r.life != nil {
		l = r.life
	}
	l.show(isShown)
	return l, x.over
}

// takeLife returns the life of c, which ends, nil if it has none, and forgets it unless the
// ctx of c looks for it here. cold.mu is held.
func (r *rare) takeLife(c *Call) *ownLife {
	l := r.life
	if l != nil && (!l.isRoot || c.isBrief()) {
		r.life = nil
	}
	return l
}

// leaveLife lets go of the life of a call that has ended.
func (c *Call) leaveLife(l *ownLife) {
	l.call.Store(nil)
	if l.isShown.Load() && !c.isBrief() {
		l.release()
	} else {
		l.cancel(nil)
	}
	if in := c.tracker(); in != nil {
		in.removeStopper(&l.stopper)
	}
}

// interrupt ends the ctx of a running call. It returns false if the call does not
// run any more, and will run again.
func (c *Call) interrupt(cause error) bool {
	return c.ctx() == nil || c.host().interrupt(c, cause) // a promise has no ctx
}

// source returns what the ctx of c hands on until it has a life of its own, and whether
// that is a rootContext.
func (c *Call) source() (from *life, isRoot bool) {
	r := c.origin.Load()
	if x := c.cold.Load(); x != nil {
		if rare := x.peek(); rare != nil && rare.from != nil {
			return rare.from, false
		}
	}
	return &r.life, r.isLasting
}

// endless is a ctx with the values of another one, as of [context.WithoutCancel],
// which makes an object each time somebody asks for a value.
type endless struct{ context.Context }

func (*endless) Deadline() (time.Time, bool) { return time.Time{}, false }
func (*endless) Done() <-chan struct{}       { return nil }
func (*endless) Err() error                  { return nil }

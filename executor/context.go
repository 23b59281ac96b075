package executor

import (
	"context"
	"runtime"
	"sync/atomic"
	"time"
	"weak"
)

// A function gets a ctx that ends in three cases: when the ctx of Submit ends, when
// Cancel asks the call to stop, and when Shutdown ends what runs. The last two are over
// when the function returns. The ctx is not: what the function returns may use it, so
// it goes on as the ctx of Submit does.
//
//  1. A function that does not look at Done gets a ctx that hands on that of Submit,
//     and nothing else is made.
//  2. The first look at Done makes a life: a cancel context of package context, which
//     is registered on the ctx of Submit, and which Cancel and Shutdown may end.
//  3. When the call has ended, its life is let go: only the ctx that the function was
//     given holds it, and through that the ctxs derived from it. When these are
//     collected, the life is ended, which takes it off the ctx of Submit.
//
// The future and the ctx are two objects, because a finished future that is kept must
// not keep the ctx of Submit, and a ctx that is kept must. Where nothing of the user's
// could be kept, with context.Background, the call itself is the ctx, under another
// method set.
//
// So that this costs no second allocation for each call, a worker takes the ctxs of calls
// with one route out of a block, of 1, then 4, then 16. The price: a ctx that is kept
// keeps the block, of 256 bytes at most. Its neighbours hold no call when theirs have
// returned, and nothing that the route does not hold too, but for a life: when a function
// has looked at Done, its worker gives up the block and begins again with one. So a block
// has one life at most, and a ctx whose function did not look at Done keeps, as long as
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
	life atomic.Pointer[life] // that of its route, which is not final, until Done is asked for
}

// rootContext is the ctx of a call that was submitted with context.Background, and of
// one that is made elsewhere.
type rootContext Call

// life is what the ctx of a call hands on.
type life struct {
	ctx     context.Context
	intake  *intake // whose labels it has too; nil if there are none
	isFinal bool
}

// ownLife is the life of one call.
type ownLife struct {
	life
	root    *lifeRoot
	mortal  mortal
	call    atomic.Pointer[Call] // nil when it has been left
	isShown atomic.Bool          // the function has seen its Done, or somebody it gave its ctx to
	isRoot  bool                 // of a rootContext
}

// lifeRoot is what an ownLife grows from. It is held by what is registered on the ctx
// of Submit, and holds nothing of the life.
type lifeRoot struct {
	context.Context
	cancel context.CancelCauseFunc
}

// AfterFunc is what package context asks a ctx that is not its own, instead of starting a
// goroutine.
func (r *lifeRoot) AfterFunc(f func()) (stop func() bool) {
	if a, ok := r.Context.(interface{ AfterFunc(func()) func() bool }); ok {
		return a.AfterFunc(f)
	}
	return context.AfterFunc(r.Context, f)
}

func newOwnLife(from life, isRoot bool) *ownLife {
	root := &lifeRoot{Context: from.ctx}
	l := &ownLife{root: root, isRoot: isRoot, life: life{intake: from.intake, isFinal: true}}
	l.ctx, root.cancel = context.WithCancelCause(root)
	l.mortal.killer = l
	return l
}

// kill ends the life of a call that runs. That of one that has ended is its ctx's: it may
// not have been left yet.
func (l *ownLife) kill(cause error) {
	if c := l.call.Load(); c != nil && !c.ended() {
		l.root.cancel(cause)
	}
}

// letGo ends the life, whose call has ended, when it is collected.
func (l *ownLife) letGo() {
	if l.root.Done() == nil || l.ctx.Err() != nil || isInBubble() {
		return
	}
	// A weak pointer, because the values of the ctx of Submit may lead to the life.
	runtime.AddCleanup(l, func(p weak.Pointer[lifeRoot]) {
		if root := p.Value(); root != nil {
			root.cancel(nil)
		}
	}, weak.Make(l.root))
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
	if l.intake != nil && l.intake.labels != nil {
		return l.intake.labels.Value(key)
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
	route *route        // of the last call
	free  []callContext // of its block
	size  int           // of that; 0: the next call is the first with this route, or after a look at Done
}

// mostContexts is the size of the largest block.
const mostContexts = 16

// follow is called before each call.
func (s *contexts) follow(r *route) {
	if s.route != r {
		*s = contexts{route: r} // what was left must not keep the ctx of another Submit
	}
}

// enter returns the ctx for the function of c, with what the route hands on.
func (s *contexts) enter(c *Call) *callContext {
	cc := s.next()
	cc.call.Store(c)
	cc.life.Store(&s.route.life)
	return cc
}

func (s *contexts) next() *callContext {
	if len(s.free) == 0 {
		if s.size == 0 {
			s.size = 1
			return s.route.context()
		}
		s.size = min(4*s.size, mostContexts)
		s.free = make([]callContext, s.size)
	}
	cc := &s.free[0]
	s.free = s.free[1:]
	return cc
}

// context returns a ctx that is in no block.
func (r *route) context() *callContext {
	if !r.hasFirst.Load() && r.hasFirst.CompareAndSwap(false, true) {
		return &r.first
	}
	return new(callContext)
}

// leave is called when the function of c, which had cc, has returned.
func (s *contexts) leave(c *Call, cc *callContext) {
	l := c.ownLife()
	if l != nil && l.ctx.Err() != nil { // by Cancel, perhaps, and not seen yet
		cc.fix(&l.life)
	}
	cc.call.Store(nil)
	if l != nil {
		s.free, s.size = nil, 0
	}
}

// now returns what cc hands on at this moment.
func (cc *callContext) now() *life {
	l := cc.life.Load()
	if c := cc.call.Load(); !l.isFinal && c != nil && c.isInterrupted() {
		return cc.settled()
	}
	return l
}

// settled returns what cc hands on from now on.
func (cc *callContext) settled() *life {
	l := cc.life.Load()
	switch c := cc.call.Load(); {
	case l.isFinal:
		return l
	case c != nil:
		return cc.fix(&c.build(*l, true, false).life)
	default:
		return cc.fix(&life{l.ctx, l.intake, true})
	}
}

// fix makes l final, unless another is.
func (cc *callContext) fix(l *life) *life {
	if before := cc.life.Load(); !before.isFinal {
		cc.life.CompareAndSwap(before, l)
	}
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
		return &c.build(c.route.Load().life, false, true).life
	}
	if l := c.ownLife(); l != nil {
		return &l.life
	}
	if c.ended() && c.isBrief() {
		return &over
	}
	return &c.route.Load().life
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
		return c.build(c.route.Load().life, true, true).ctx.Done()
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
	if in := c.intake(); in != nil && in.killed.Load() {
		return !c.ended()
	}
	l := c.ownLife()
	return l != nil && l.ctx.Err() != nil
}

// isBrief reports whether the ctx of c ends when c does.
func (c *Call) isBrief() bool {
	if c.route.Load().isBrief {
		return true
	}
	x := c.extra.Load()
	if x == nil {
		return false
	}
	r := x.peek()
	return r != nil && r.isBrief
}

// ownLife returns the life of a call that has not ended, nil if it has none.
func (c *Call) ownLife() *ownLife {
	x := c.extra.Load()
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
func (c *Call) build(from life, isShown, isRoot bool) *ownLife {
	x := c.more()
	if l := x.showLife(isShown); l != nil {
		return l
	}
	l := newOwnLife(from, isRoot) // not under a lock: ctx may be anybody's
	l.call.Store(c)
	switch kept, isLate := x.keepLife(l, isShown); {
	case kept != l:
		l.root.cancel(nil)
		return kept
	case isLate:
		c.leaveLife(l)
		return l
	}
	in := c.intake()
	if in != nil {
		in.enroll(&l.mortal)
	}
	x.settle(c)
	if in != nil && c.ended() {
		in.strike(&l.mortal) // end may have been here before enroll
	}
	return l
}

// showLife returns the life of the call, nil if it has none.
func (x *extra) showLife(isShown bool) *ownLife {
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
func (x *extra) keepLife(l *ownLife, isShown bool) (kept *ownLife, isLate bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	r := x.rarely()
	if r.life == nil && (!x.over || l.isRoot && isShown) {
		r.life = l
	} else if r.life != nil {
		l = r.life
	}
	l.show(isShown)
	return l, x.over
}

// takeLife returns the life of c, which ends, nil if it has none, and forgets it unless the
// ctx of c looks for it here. extra.mu is held.
func (r *rare) takeLife(c *Call) *ownLife {
	l := r.life
	if l != nil && (!l.isRoot || r.isBrief || c.route.Load().isBrief) {
		r.life = nil
	}
	return l
}

// leaveLife lets go of the life of a call that has ended.
func (c *Call) leaveLife(l *ownLife) {
	l.call.Store(nil)
	if l.isShown.Load() && !c.isBrief() {
		l.letGo()
	} else {
		l.root.cancel(nil)
	}
	if in := c.intake(); in != nil {
		in.strike(&l.mortal)
	}
}

// interrupt ends the ctx of a running call. It returns false if the call does not
// run any more, and will run again.
func (c *Call) interrupt(cause error) bool {
	switch in := c.intake(); {
	case c.ctx() == nil:
		return true // a promise has none
	case in != nil && in.processes != nil:
		return in.processes.interrupt(c, cause)
	}
	from, isRoot := c.source()
	c.build(from, false, isRoot).kill(cause)
	return true
}

// source returns what the ctx of c hands on until it has a life of its own, and whether
// that is a rootContext.
func (c *Call) source() (from life, isRoot bool) {
	r := c.route.Load()
	if x := c.extra.Load(); x != nil {
		if rare := x.peek(); rare != nil && rare.from != nil {
			return *rare.from, false
		}
	}
	return r.life, r.isLasting
}

// endless is a ctx with the values of another one, as of [context.WithoutCancel],
// which makes an object each time somebody asks for a value.
type endless struct{ context.Context }

func (*endless) Deadline() (time.Time, bool) { return time.Time{}, false }
func (*endless) Done() <-chan struct{}       { return nil }
func (*endless) Err() error                  { return nil }

package executor

import (
	"context"
	"sync/atomic"
)

// host is what a call asks of the executor that has it. A call knows no executor: where it
// waits, and where it runs, is known behind this door.
//
// The methods get the call, because a host has many. Where a doc comment does not say that
// tracker.mu is held, it is not.
type host interface {
	// withdraw moves c, which has not started, to state, and reports whether it did.
	withdraw(c *Call, state uint32) bool

	// withdrawn hears of a call that was withdrawn. tracker.mu is held.
	withdrawn(c *Call)

	// interrupt asks c, which runs, to stop, for a reason. It returns false if c does not
	// run any more, and will run again.
	interrupt(c *Call, reason error) bool

	// isRunning reports whether c, which is pending, has started where its state is not seen.
	isRunning(c *Call) bool

	// hearsOfEnds reports whether the ctx of a call of this host that runs ends by itself when
	// that of Submit does. Otherwise the host has to be told, by interrupt.
	hearsOfEnds() bool

	// lend gives the place of c, which runs and is going to wait, to others, and reports
	// whether c has one to lend. If so, reclaim waits until c has it back.
	lend(c *Call) bool
	reclaim(c *Call)

	// help makes c, which has not started, on this goroutine, which waits for it with ctx, if
	// that may be, and reports whether it did.
	help(ctx context.Context, c *Call) bool

	// processes returns how many worker processes there are, and how many of these are not
	// ready yet. tracker.mu is held.
	processes() (all, early int)

	// unsettled returns how many calls have ended and are counted as open. tracker.mu is held.
	unsettled() int

	mapHost
}

// mapHost is what the runners of a MapSlice ask of the executor that has their calls. To it,
// the MapSlice is anything that can be compared: of.
type mapHost interface {
	// join is for a runner that begins, and part for one that ends.
	join(c *Call, m *stopper)
	part(c *Call, m *stopper, of any)

	// stepAside lets others have the place of c for a while, if they wait for one. It returns
	// false if nothing is left to make when c comes back.
	stepAside(c *Call, asked *atomic.Bool, of any, isLeft func() bool) bool

	// release lets runners go that have stepped aside: nothing is left to make.
	release(of any)

	// endBehind ends what is made of the chunk of c behind one of its items.
	endBehind(c *Call, item int)

	// made returns how many items of the chunk of c have ended, as far as is known.
	made(c *Call) int
}

// host returns that of the executor that has the call.
func (c *Call) host() host {
	r := c.origin.Load()
	switch {
	case r == nil:
		return plainHost{}
	case r.outsider != nil:
		return outside{ex: r.outsider}
	}
	return r.tracker.hostOf()
}

// hostOf returns the host of the calls that were taken; in may be nil.
func (in *tracker) hostOf() host {
	if in == nil || in.host == nil {
		return plainHost{}
	}
	return in.host
}

// plainHost is the host of calls that wait in no queue and run in this process, and the
// base of other hosts.
type plainHost struct{}

func (plainHost) withdraw(c *Call, state uint32) bool { return c.state.CompareAndSwap(pending, state) }
func (plainHost) withdrawn(*Call)                     {}
func (plainHost) isRunning(*Call) bool                { return false }
func (plainHost) hearsOfEnds() bool                   { return true }
func (plainHost) lend(*Call) bool                     { return false }
func (plainHost) reclaim(*Call)                       {}
func (plainHost) help(context.Context, *Call) bool    { return false }
func (plainHost) processes() (all, early int)         { return 0, 0 }
func (plainHost) unsettled() int                      { return 0 }

func (plainHost) interrupt(c *Call, reason error) bool {
	from, isRoot := c.source()
	c.build(from, false, isRoot).stop(reason)
	return true
}

func (plainHost) join(c *Call, m *stopper)                                    { c.tracker().addStopper(m) }
func (plainHost) part(c *Call, m *stopper, _ any)                             { c.tracker().removeStopper(m) }
func (plainHost) stepAside(*Call, *atomic.Bool, any, func() bool) (goOn bool) { return true }
func (plainHost) release(any)                                                 {}
func (plainHost) endBehind(*Call, int)                                        {}
func (plainHost) made(*Call) int                                              { return 0 }

package parallel

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/gofutures/futures/executor"
	"github.com/gofutures/futures/parallel/internal/disk"
)

// flight is a call of a cached function for all callers that want its result at once. One
// that comes while it is under way boards it.
//
// The function runs on a goroutine of its own, so that each caller can leave when its
// ctx ends. It has the values of the first caller's ctx, and with them the place of
// that call on an executor, which it lends when it waits for calls of its own. So the
// first caller keeps its place while it waits for the flight, and the others lend
// theirs: else they could fill the executor that the function waits for. The last
// caller does not leave but ends the function's ctx and waits: then it is like any
// call, and nothing is left behind.
type flight struct {
	ctx       context.Context // the function's
	cancel    context.CancelCauseFunc
	landed    chan struct{} // closed when the function has ended
	ownerLeft atomic.Bool   // the first caller has left, and may change its argument

	callers int             // guarded by Memory.mu, as is
	awaits  map[*flight]int // flights that callers inside of this one have boarded
}

// Done makes a flight something to wait for.
func (f *flight) Done() <-chan struct{} { return f.landed }

// landing is what came of a flight.
type landing[Out any] struct {
	out      Out
	encoding []byte               // of out; nil if it has none
	err      error                // that the function returned
	panicked *executor.PanicError // or it panicked
	exited   bool                 // or it ended its goroutine
	isTaken  atomic.Bool          // somebody has out
}

// errSpoiled is the error of a flight that nobody can use: its argument was changed
// under way.
var errSpoiled = errors.New("the argument was changed while the function ran")

// share calls the function for all that call it with the same argument now.
func (c *CachedFunc[In, Out]) share(ctx context.Context, key disk.Key, in In) (out Out, err error) {
	if c.isInside(ctx, key) {
		return out, c.errEndless()
	}
	for {
		l, err := c.fly(ctx, key, in)
		if err != nil {
			return out, err
		}
		if l.err == errSpoiled {
			continue
		}
		out, err = c.land(ctx, in, l)
		if ctx.Err() != nil && executor.Is(err, context.Canceled) && !executor.Is(err, ctx.Err()) {
			err = fmt.Errorf("%w: %w", ctx.Err(), err) // a deadline has passed, and then the function's ctx was cancelled
		}
		return out, err
	}
}

// fly boards the flight of key, or begins one, and returns what comes of it. The error
// is that of ctx, if the caller has left.
func (c *CachedFunc[In, Out]) fly(ctx context.Context, key disk.Key, in In) (*landing[Out], error) {
	m := c.memory
	m.mu.Lock()
	f, isBoarding := m.flights[key]
	around := callsAround(ctx).flightIn(m)
	if isBoarding && around != nil && f.leadsTo(around) {
		m.mu.Unlock()
		return nil, c.errEndless()
	}
	if !isBoarding {
		f = &flight{landed: make(chan struct{})}
		f.ctx, f.cancel = context.WithCancelCause(c.enter(context.WithoutCancel(ctx), key, f))
		m.flights[key] = f
	}
	if around != nil {
		around.await(f)
		defer m.arrived(around, f)
	}
	f.callers++
	result := m.group.DoChan(string(key[:]), func() (any, error) {
		l := c.pilot(f, key, in)
		m.end(key, f)
		close(f.landed)
		return l, nil
	})
	m.mu.Unlock()

	wait := f.wait
	if isBoarding {
		wait = f.waitAndLend
	}
	if !wait(ctx) {
		if !m.leave(key, f, ctx, !isBoarding) {
			return nil, ctx.Err()
		}
		_ = wait(context.WithoutCancel(ctx))
	}
	return (<-result).Val.(*landing[Out]), nil
}

// wait returns false if ctx ends before the flight does.
func (f *flight) wait(ctx context.Context) bool {
	select {
	case <-f.landed:
	case <-ctx.Done():
	}
	return f.hasLanded()
}

// waitAndLend is wait for a caller whose place on an executor others may have
// meanwhile.
func (f *flight) waitAndLend(ctx context.Context) bool {
	_, _, _ = executor.Wait(ctx, executor.AllCompleted, f)
	return f.hasLanded()
}

func (f *flight) hasLanded() bool {
	select {
	case <-f.landed:
		return true
	default:
		return false
	}
}

// leave takes a caller off a flight. It returns true for the last one, which has to stay:
// then the flight is ending, and the caller that comes next begins another.
func (m *Memory) leave(key disk.Key, f *flight, ctx context.Context, isOwner bool) (isLast bool) {
	m.mu.Lock()
	f.callers--
	isLast = f.callers == 0
	if isLast {
		m.strike(key, f)
	} else if isOwner {
		f.ownerLeft.Store(true)
	}
	m.mu.Unlock()
	if isLast {
		f.cancel(context.Cause(ctx))
	}
	return isLast
}

// end is for a flight whose function has ended.
func (m *Memory) end(key disk.Key, f *flight) {
	m.mu.Lock()
	m.strike(key, f)
	m.mu.Unlock()
	f.cancel(nil)
}

// strike makes a flight one that nobody can board. mu is held.
func (m *Memory) strike(key disk.Key, f *flight) {
	if m.flights[key] == f {
		delete(m.flights, key)
		m.group.Forget(string(key[:]))
	}
}

// pilot makes the call on a goroutine of its own, which the function may end: of
// that, singleflight would tell nobody.
func (c *CachedFunc[In, Out]) pilot(f *flight, key disk.Key, in In) *landing[Out] {
	l, landed := new(landing[Out]), make(chan struct{})
	go func() {
		returned := false
		defer func() {
			if !returned {
				l.crash(recover())
			}
			close(landed)
		}()
		c.look(f, key, in, l)
		returned = true
	}()
	<-landed
	return l
}

// crash is for a function that did not return.
func (l *landing[Out]) crash(recovered any) {
	l.exited = recovered == nil
	if p, ok := recovered.(*executor.PanicError); ok && p != nil {
		l.panicked = p
	} else if !l.exited {
		l.panicked = &executor.PanicError{Value: recovered, Stack: debug.Stack()}
	}
}

// look waits until nobody else computes the result, and then takes what that has left
// or calls the function.
func (c *CachedFunc[In, Out]) look(f *flight, key disk.Key, in In, l *landing[Out]) {
	lock := c.memory.store.TryLock(key)
	if lock == nil { // somebody computes it, or has just written it
		e, err := c.memory.store.Read(c.folder, key)
		if l.out, err = c.use(e, err); err == nil {
			l.encoding = e.Body
			return
		}
		if lock, l.err = c.memory.lock(f.ctx, key); l.err != nil {
			return
		}
	}
	defer lock.Unlock()
	e, err := lock.Read(c.folder)
	if l.out, err = c.use(e, err); err == nil {
		l.encoding = e.Body
		return
	}
	if !errors.Is(err, fs.ErrNotExist) {
		c.own.count(damaged, 1)
		c.memory.log("an entry is computed again", c.memory.store.Path(c.folder, key), err)
	}
	l.out, l.encoding, l.err = c.compute(f.ctx, lock, in, func() error {
		if f.ownerLeft.Load() {
			if now, err := c.key(in); err != nil || now != key {
				return errSpoiled
			}
		}
		return nil
	})
}

// lock waits for the lock of a key. Meanwhile it lends the place of the call on an
// executor that ctx belongs to: the call that has the lock may wait for that.
func (m *Memory) lock(ctx context.Context, key disk.Key) (*disk.Lock, error) {
	if l := m.store.TryLock(key); l != nil {
		return l, nil
	}
	waiting := executor.Go(context.WithoutCancel(ctx), &executor.ThreadPerTask{}, func(context.Context) (*disk.Lock, error) {
		return m.store.Lock(ctx, key) // ends when ctx does
	})
	return waiting.Result(context.WithoutCancel(ctx))
}

// compute calls the function and keeps its result, unless check has an error. The
// encoding is nil if there is none.
func (c *CachedFunc[In, Out]) compute(ctx context.Context, lock *disk.Lock, in In, check func() error) (out Out, encoding []byte, err error) {
	c.own.count(misses, 1)
	lock.Prepare(c.folder)
	start := time.Now()
	out, err = c.fn(ctx, in)
	end := time.Now()
	if err == nil {
		err = check()
	}
	if err != nil {
		return out, nil, err
	}
	encoding, failed := executor.Encode(out)
	if failed == nil {
		failed = lock.Write(c.folder, disk.Entry{Stored: end, Took: end.Sub(start), Body: encoding})
	}
	if failed != nil {
		lock.Void(c.folder) // what was there is the result no more
		c.own.count(unkept, 1)
		if !errors.Is(failed, disk.ErrNotUsed) {
			c.memory.log("a result is not kept", c.owner.name, failed)
		}
	}
	return out, encoding, nil
}

// land returns what came of a flight to one of its callers. The first gets what the
// function returned, and the others a copy: they might change it.
func (c *CachedFunc[In, Out]) land(ctx context.Context, in In, l *landing[Out]) (out Out, err error) {
	isFirst := l.isTaken.CompareAndSwap(false, true)
	crashed := l.panicked != nil || l.exited
	if !isFirst && !crashed && l.err == nil {
		if out, err = executor.Decode[Out](l.encoding); err != nil { // it has no encoding, and is not kept
			c.own.count(misses, 1)
			return c.fn(ctx, in)
		}
	}
	if !isFirst {
		c.own.count(shared, 1)
	}
	switch {
	case l.panicked != nil:
		panic(l.panicked)
	case l.exited:
		runtime.Goexit()
	case isFirst:
		return l.out, l.err
	}
	return out, l.err
}

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

// flight is a call of a cached function for all who want its result at once.
//
// The function runs on a goroutine of its own, so that each caller can leave when its
// ctx ends. It has the values of the first caller's ctx, and with them the place of a
// call on an executor: it may wait there for calls of its own. The last caller does
// not leave but ends the ctx and waits: then it is like any call, and nothing is left
// behind.
type flight struct {
	callers int // guarded by Memory.mu
	ctx     context.Context
	cancel  context.CancelCauseFunc
}

// landing is what came of a flight.
type landing[Out any] struct {
	out      Out
	encoding []byte               // of out; nil if it has none
	err      error                // that the function returned
	panicked *executor.PanicError // or it panicked
	exited   bool                 // or it ended its goroutine
	isTaken  atomic.Bool          // somebody has out
}

// board calls the function, or waits for a call that runs.
func (c *CachedFunc[In, Out]) board(ctx context.Context, key disk.Key, in In) (Out, error) {
	var none Out
	inner, err := c.enter(ctx, key)
	if err != nil {
		return none, err
	}
	m := c.memory
	m.mu.Lock()
	f := m.flights[key]
	if f == nil {
		f = new(flight)
		f.ctx, f.cancel = context.WithCancelCause(context.WithoutCancel(inner))
		m.flights[key] = f
	}
	f.callers++
	landed := m.group.DoChan(string(key[:]), func() (any, error) { return c.fly(f.ctx, key, in), nil })
	m.mu.Unlock()

	select {
	case l := <-landed:
		m.leave(key, f, nil)
		return c.land(ctx, in, l.Val.(*landing[Out]))
	case <-ctx.Done():
	}
	if !m.leave(key, f, context.Cause(ctx)) {
		return none, ctx.Err()
	}
	l := <-landed
	out, err := c.land(ctx, in, l.Val.(*landing[Out]))
	if errors.Is(err, context.Canceled) && !errors.Is(err, ctx.Err()) {
		err = fmt.Errorf("%w: %w", ctx.Err(), err) // the function's ctx was cancelled when a deadline passed
	}
	return out, err
}

// leave takes one caller off a flight. It returns true for the last one, who has ended
// the flight: who comes next begins another.
func (m *Memory) leave(key disk.Key, f *flight, cause error) (wasLast bool) {
	m.mu.Lock()
	f.callers--
	wasLast = f.callers == 0
	if wasLast {
		delete(m.flights, key)
		m.group.Forget(string(key[:]))
	}
	m.mu.Unlock()
	if wasLast {
		f.cancel(cause)
	}
	return wasLast
}

// fly makes the call on a goroutine of its own, which the function may end.
func (c *CachedFunc[In, Out]) fly(ctx context.Context, key disk.Key, in In) *landing[Out] {
	l, landed := new(landing[Out]), make(chan struct{})
	go func() {
		returned := false
		defer func() {
			if !returned {
				l.crash(recover())
			}
			close(landed)
		}()
		c.look(ctx, key, in, l)
		returned = true
	}()
	<-landed
	return l
}

// crash is for a function that did not return.
func (l *landing[Out]) crash(recovered any) {
	switch p := recovered.(type) {
	case nil:
		l.exited = true
	case *executor.PanicError:
		l.panicked = p
	default:
		l.panicked = &executor.PanicError{Value: recovered, Stack: debug.Stack()}
	}
}

// look waits until no other process computes the result, and then takes what that
// has left or calls the function.
func (c *CachedFunc[In, Out]) look(ctx context.Context, key disk.Key, in In, l *landing[Out]) {
	lock, err := c.memory.store.Lock(ctx, key)
	if err != nil {
		l.err = err
		return
	}
	defer lock.Unlock()
	e, err := lock.Read(c.folder)
	if l.out, err = c.use(e, err); err == nil {
		l.encoding = e.Body
		return
	}
	if !errors.Is(err, fs.ErrNotExist) {
		c.own.counts.damaged.Add(1)
		c.memory.log("an entry is computed again", c.memory.store.Path(c.folder, key), err)
	}
	l.out, l.encoding, l.err = c.compute(ctx, lock, in)
}

// compute calls the function and keeps its result. The encoding is nil if it has
// none.
func (c *CachedFunc[In, Out]) compute(ctx context.Context, lock *disk.Lock, in In) (out Out, encoding []byte, err error) {
	c.own.counts.misses.Add(1)
	start := time.Now()
	out, err = c.fn(ctx, in)
	end := time.Now()
	if err != nil {
		return out, nil, err
	}
	encoding, failed := executor.Encode(out)
	if failed == nil {
		failed = lock.Write(c.folder, disk.Entry{Stored: end, Took: end.Sub(start), Body: encoding})
	}
	if failed != nil {
		c.own.counts.unkept.Add(1)
		c.memory.log("a result is not kept", c.owner.name, failed)
	}
	return out, encoding, nil
}

// land returns what came of a flight to one of its callers. The first gets what the
// function returned, and the others a copy: they might change it.
func (c *CachedFunc[In, Out]) land(ctx context.Context, in In, l *landing[Out]) (out Out, err error) {
	switch {
	case l.panicked != nil:
		panic(l.panicked)
	case l.exited:
		runtime.Goexit()
	case l.isTaken.CompareAndSwap(false, true):
		return l.out, l.err
	case l.err == nil:
		if out, err = executor.Decode[Out](l.encoding); err != nil { // it has no encoding, and is not kept
			c.own.counts.misses.Add(1)
			return c.fn(ctx, in)
		}
	}
	c.own.counts.shared.Add(1)
	return out, l.err
}

// inside is the ctx's list of the calls of cached functions that are being made.
type inside struct {
	memory *Memory
	key    disk.Key
	outer  *inside
}

type insideKey struct{}

// enter returns the ctx for the function. A function that calls itself with the same
// argument would wait for itself.
func (c *CachedFunc[In, Out]) enter(ctx context.Context, key disk.Key) (context.Context, error) {
	outer, _ := ctx.Value(insideKey{}).(*inside)
	for i := outer; i != nil; i = i.outer {
		if i.memory == c.memory && i.key == key {
			return nil, fmt.Errorf("parallel: Cache %q: the function calls itself with the same argument, and would wait for itself", c.owner.name)
		}
	}
	return context.WithValue(ctx, insideKey{}, &inside{c.memory, key, outer}), nil
}

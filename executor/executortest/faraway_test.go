package executortest_test

import (
	"bytes"
	"container/list"
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"

	"github.com/gofutures/futures/executor"
	"github.com/gofutures/futures/executor/executortest"
)

// faraway is an executor as a user may write it, on exported names alone: a call goes as
// bytes to another goroutine, which stands for a machine far away, and what came of it
// comes back as bytes. Unlike a real one, it runs in this process, so that a function has
// the ctx of its call there, and a call that waits lends its place.
//
// It watches no ctx: it is asked to withdraw and to interrupt.
type faraway struct {
	size int

	mu         sync.Mutex // guards the fields below
	isClosed   bool
	busy       int                              // places that calls have
	queue      list.List                        // of *errand, that have not started
	queued     map[*executor.Call]*list.Element // in the queue
	running    map[*executor.Call]*errand
	returning  []*errand       // that have lent their place and want one
	shutters   map[*errand]int // calls that are in Shutdown, and how often
	changed    chan struct{}   // closed when Shutdown is to look again; nil if nobody waits
	stats      executor.Stats
	interrupts int
}

// errand is a call on its way.
type errand struct {
	call    *executor.Call
	request []byte        // empty when it has been sent
	from    *errand       // that has submitted it; nil if none has
	isLent  bool          // it has lent its place
	back    chan struct{} // closed when it has a place again, for which it waits
}

// errandKey is the key of the errand in the ctx of its function.
type errandKey struct{}

func (f *faraway) Workers() int { return max(1, f.size) }

func (f *faraway) Execute(ctx context.Context, c *executor.Call) {
	request, err := c.Encode()
	if err != nil {
		c.Reject(err)
		return
	}
	e := &errand{call: c, request: asBytes(request)}
	e.from, _ = ctx.Value(errandKey{}).(*errand)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.isClosed {
		c.Reject(executor.ErrShutdown)
		return
	}
	if f.queued == nil {
		f.queued, f.running = make(map[*executor.Call]*list.Element), make(map[*executor.Call]*errand)
	}
	f.stats.Submitted++
	f.queued[c] = f.queue.PushBack(e)
	f.start()
}

// start starts what there are places for: calls that want theirs back first. f.mu is held.
func (f *faraway) start() {
	for f.busy < f.Workers() {
		if len(f.returning) > 0 {
			e := f.returning[0]
			f.returning = f.returning[1:]
			f.busy++
			e.isLent = false
			close(e.back)
			continue
		}
		first := f.queue.Front()
		if first == nil {
			return
		}
		e := f.queue.Remove(first).(*errand)
		delete(f.queued, e.call)
		if !e.call.Start() {
			f.stats.Cancelled++
			f.change()
			continue
		}
		f.running[e.call] = e
		f.busy++
		go f.carryOut(e)
	}
}

// carryOut is what happens far away.
func (f *faraway) carryOut(e *errand) {
	there := context.WithValue(e.call.Context(), errandKey{}, e)
	reply, err := executor.Invoke(there, fromBytes[executor.Request](e.request))
	e.request = nil
	if back := asBytes(reply); err == nil {
		reply = fromBytes[executor.Reply](back)
	}
	e.call.Complete(reply, err)
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.running, e.call)
	if e.call.Err() == nil {
		f.stats.Succeeded++
	} else {
		f.stats.Failed++
	}
	f.returning = slices.DeleteFunc(f.returning, func(other *errand) bool { return other == e })
	if !e.isLent {
		f.busy--
	} else if e.back != nil {
		close(e.back) // a goroutine of the function still waits, and will do without
	}
	f.start()
	f.change()
}

func (f *faraway) Withdraw(c *executor.Call) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if place, ok := f.queued[c]; ok {
		f.queue.Remove(place)
		delete(f.queued, c)
		f.stats.Cancelled++
		f.change()
	}
	return true
}

// Interrupt has nothing to send: the function has the ctx of its call.
func (f *faraway) Interrupt(*executor.Call, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.interrupts++
}

func (f *faraway) Lend(c *executor.Call) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if e := f.running[c]; e != nil {
		e.isLent = true
		f.busy--
		f.start()
	}
}

func (f *faraway) Reclaim(c *executor.Call) {
	f.mu.Lock()
	e := f.running[c]
	if e == nil { // it has ended
		f.mu.Unlock()
		return
	}
	back := make(chan struct{})
	e.back = back
	f.returning = append(f.returning, e)
	f.start()
	f.mu.Unlock()
	<-back
}

func (f *faraway) Stats() executor.Stats {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.stats
	s.Queued, s.Running = f.queue.Len(), len(f.running)
	return s
}

func (f *faraway) Close() error { return f.Shutdown(context.Background()) }

func (f *faraway) Shutdown(ctx context.Context) error {
	if ctx == nil {
		return errors.New("faraway: Shutdown: nil ctx")
	}
	f.mu.Lock()
	f.isClosed = true
	f.mu.Unlock()
	inside, _ := ctx.Value(errandKey{}).(*errand)
	f.wait(inside, 1)
	defer f.wait(inside, -1)
	if f.drain(ctx, inside) == nil {
		return nil
	}
	f.mu.Lock()
	left := slices.AppendSeq(slices.Collect(maps.Keys(f.queued)), maps.Keys(f.running))
	f.mu.Unlock()
	for _, c := range left {
		c.Cancel()
	}
	return f.drain(ctx, inside)
}

// wait adds n to how often the errand and those that it came from are in Shutdown.
func (f *faraway) wait(inside *errand, n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for e := inside; e != nil; e = e.from {
		if f.shutters == nil {
			f.shutters = make(map[*errand]int)
		}
		if f.shutters[e] += n; f.shutters[e] == 0 {
			delete(f.shutters, e)
		}
	}
	f.change()
}

// drain waits until nothing is left but calls that wait themselves, or until ctx ends.
func (f *faraway) drain(ctx context.Context, inside *errand) error {
	for {
		f.mu.Lock()
		exempt := 0
		for e := range f.shutters {
			if inside != nil && f.running[e.call] == e {
				exempt++
			}
		}
		left := f.queue.Len() + len(f.running) - exempt
		if left == 0 {
			f.mu.Unlock()
			return nil
		}
		if f.changed == nil {
			f.changed = make(chan struct{})
		}
		changed := f.changed
		f.mu.Unlock()
		if err := executor.Await(ctx, changed); err != nil {
			return fmt.Errorf("faraway: %d calls have not ended: %w", left, err)
		}
	}
}

// change lets Shutdown look again. f.mu is held.
func (f *faraway) change() {
	if f.changed != nil {
		close(f.changed)
		f.changed = nil
	}
}

// asBytes returns v as it is sent.
func asBytes[T executor.Request | executor.Reply](v T) []byte {
	var b bytes.Buffer
	if err := gob.NewEncoder(&b).Encode(v); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// fromBytes undoes asBytes.
func fromBytes[T executor.Request | executor.Reply](b []byte) (v T) {
	if err := gob.NewDecoder(bytes.NewReader(b)).Decode(&v); err != nil {
		panic(err)
	}
	return v
}

// The exported names are enough to write an executor that keeps all promises, and one
// around it.
func TestExecutorOverExportedNamesKeepsAllPromises(t *testing.T) {
	for name, open := range map[string]func(workers int) executor.Executor{
		"itself":  func(workers int) executor.Executor { return &faraway{size: workers} },
		"wrapped": func(workers int) executor.Executor { return around{&faraway{size: workers}} },
	} {
		for _, says := range executortest.Promises() {
			t.Run(name+"/"+says, func(t *testing.T) {
				failures, skipped := executortest.Judge(says, open, t.TempDir())
				for _, failure := range failures {
					t.Error(failure)
				}
				if skipped != "" {
					t.Errorf("the case was skipped: %s; want none to be", skipped)
				}
			})
		}
	}
}

// around is an executor that does nothing but hand its calls on.
type around struct{ inner *faraway }

func (a around) Workers() int                                  { return a.inner.Workers() }
func (a around) Execute(ctx context.Context, c *executor.Call) { c.HandOn(ctx, a.inner) }
func (a around) Stats() executor.Stats                         { return a.inner.Stats() }
func (a around) Close() error                                  { return a.inner.Close() }
func (a around) Shutdown(ctx context.Context) error            { return a.inner.Shutdown(ctx) }

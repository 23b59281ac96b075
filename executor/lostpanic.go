package executor

import (
	"fmt"
	"log/slog"
	"reflect"
	"runtime"
	"sync/atomic"
)

// IgnoreLostPanics ends the reports of lost panics: of calls that have panicked and
// whose futures are collected though nobody has asked them for their result, with
// Result, OnDone, [Wait], [AsCompleted], [Gather] or otherwise. Each is logged once with
// [slog] at level Error, with its value and stack:
//
//	executor: a call panicked, and nobody has asked for its result
//
// An error that a function returned is not reported, and a call that does not panic
// costs nothing. A future that is never collected, because the program ends or
// something holds it, is not reported either.
var IgnoreLostPanics atomic.Bool

// lostPanic is a panic that nobody has asked for yet. It does not hold the value of the
// panic, which may lead to the future.
type lostPanic struct {
	isSeen atomic.Bool
	value  string
	stack  []byte
}

// report is called when the future of the call is collected.
func (p *lostPanic) report() {
	if !p.isSeen.Load() && !IgnoreLostPanics.Load() {
		slog.Error("executor: a call panicked, and nobody has asked for its result", "panic", p.value, "stack", string(p.stack))
	}
}

// failBy is fail for a call whose function did not return. What it panicked with is
// reported if nobody asks for it.
func (c *Call) failBy(err error) {
	c.fail(err)
	e, hasPanicked := err.(*PanicError)
	if !hasPanicked {
		return
	}
	p := &lostPanic{value: textOf(e.Value), stack: e.Stack}
	x := c.more()
	x.mu.Lock()
	x.rarely().panic = p
	x.mu.Unlock()
	runtime.AddCleanup(x, func(p *lostPanic) { go p.report() }, p) // on a goroutine of its own: handlers may block
}

// textOf returns what the runtime would print of a panic with v: of what is not a number,
// a text, or something with a text of its own, only the type. Others may be writing to it.
func textOf(v any) string {
	_, isError := v.(error)
	_, isStringer := v.(fmt.Stringer)
	if t := reflect.TypeOf(v); isError || isStringer || t.Kind() <= reflect.Complex128 || t.Kind() == reflect.String {
		return fmt.Sprint(v) // contains the panic of a method
	}
	return fmt.Sprintf("(%T)", v)
}

// look is called when somebody asks for what came of the call, which has ended.
func (c *Call) look() {
	if x := c.extra.Load(); x != nil && x.err != nil {
		if r := x.peek(); r != nil {
			r.look()
		}
	}
}

// look is Call.look. rare.panic is not written any more, or extra.mu is held.
func (r *rare) look() {
	if r.panic != nil {
		r.panic.isSeen.Store(true)
	}
}

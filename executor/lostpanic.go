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
// An item of a map is a call too. Its panic is lost if the loop over a [Map] is left
// before it is yielded, or if [MapSlice] returns another error.
//
// An error that a function returned is not reported, unless that hands on the
// [*PanicError] of another call, or the [ItemErrors] of a map, as they are: then they are
// lost if nobody asks for the result of this call. A call that does not panic costs
// nothing. A future that is never collected, because the program ends or something holds
// it, is not reported either. Package parallel has no futures: what fails there beside the
// error that is returned is told with its CollectErrors, and else not at all.
var IgnoreLostPanics atomic.Bool

// lostPanic is what is reported of a panic when its PanicError is collected. It does not
// hold the value, which may lead to the PanicError.
type lostPanic struct {
	isSeen atomic.Bool // somebody was given the PanicError
	value  string
	stack  []byte
}

// report is called when the error of the panic is collected.
func (p *lostPanic) report() {
	if !p.isSeen.Load() && !IgnoreLostPanics.Load() {
		slog.Error("executor: a call panicked, and nobody has asked for its result", "panic", p.value, "stack", string(p.stack))
	}
}

// failBy is fail for a call whose function did not return. What it panicked with is
// reported if nobody asks for it.
func (c *Call) failBy(err error) {
	c.fail(err)
	arm(err)
}

// arm has a panic reported when its error is collected and was not seen. It is called by
// whoever has made the error, before others have it.
func arm(err error) {
	e, hasPanicked := err.(*PanicError)
	if !hasPanicked {
		return
	}
	p := &lostPanic{value: "(a method of the value ended its goroutine)", stack: e.Stack}
	_ = contain(func() { p.value = textOf(e.Value) })
	e.lost = p
	runtime.AddCleanup(e, func(p *lostPanic) { go p.report() }, p) // on a goroutine of its own: handlers may block
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

// see is called with an error that somebody has asked for.
func see(err error) { mark(err, true) }

// handOn is called with an error that the function of a call returns. If it is that of
// another call, nobody has asked for it here.
func handOn(err error) { mark(err, false) }

func mark(err error, isSeen bool) {
	switch e := err.(type) {
	case *PanicError:
		if e != nil && e.lost != nil {
			e.lost.isSeen.Store(isSeen)
		}
	case ItemErrors:
		for _, item := range e {
			if item != nil {
				mark(item.Err, isSeen)
			}
		}
	}
}

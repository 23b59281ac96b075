package executortest

import (
	"runtime"
	"weak"

	"github.com/gofutures/futures/executor"
)

// memoryPromises are about what an executor keeps (D28).
var memoryPromises = []promise{
	{id: "D28", says: "an executor keeps no argument of a call that is done", check: keepsNoArgument},
	{id: "D28", says: "an executor keeps no result of a call that is done", check: keepsNoResult},
	{id: "D5, D28", says: "an executor keeps no argument of a call that was cancelled", check: keepsNoCancelledArgument},
}

func keepsNoArgument(k *trial) {
	f, argument := submitParcel(k)
	finish(k, "a call", f)
	k.untilCollected(argument, "the argument of a call that is done")
	runtime.KeepAlive(f)
}

func keepsNoResult(k *trial) {
	k.untilCollected(makeParcel(k), "the result of a call that is done")
}

func keepsNoCancelledArgument(k *trial) {
	k.occupy()
	f, argument := submitParcel(k)
	if !f.Cancel() {
		k.violated("Cancel of a queued call = false; want true")
	}
	k.untilCollected(argument, "the argument of a call that was cancelled while every worker was busy")
	runtime.KeepAlive(f)
}

// submitParcel leaves no trace of the argument on the stack of its caller.
//
//go:noinline
func submitParcel(k *trial) (*executor.Future[*parcel], weak.Pointer[parcel]) {
	p := &parcel{Content: make([]byte, 1<<10)}
	return executor.Submit(k.ctx, k.ex, weigh, p), weak.Make(p)
}

// makeParcel returns what is left of the result of a call.
//
//go:noinline
func makeParcel(k *trial) weak.Pointer[parcel] {
	f, _ := submitParcel(k)
	p, err := result(k, "a call that returns a parcel", f)
	if p == nil || err != nil {
		k.fatal("Result of a call that returns a parcel = %v, %v; want a parcel, nil", p, err)
	}
	return weak.Make(p)
}

// untilCollected waits until the garbage collector has taken p.
func (k *trial) untilCollected(p weak.Pointer[parcel], what string) {
	gone := func() bool {
		runtime.GC()
		for range 50 { // a collection costs more than a look at a file
			if p.Value() == nil {
				return true
			}
			pause(k.ctx)
		}
		return false
	}
	k.until(gone, "the garbage collector to find that nobody holds %s", what)
}

package executor

import "context"

// stoppable is a ctx for one map that another package may stop without ending the ctx that
// the functions of the map are given: package pool makes it, for Terminate. Methods alone
// make a ctx one, as they do with AfterFunc in package context.
type stoppable interface {
	context.Context

	Inside() context.Context                     // for the functions; to all else, the stoppable is that ctx
	Begin(m interface{ Terminate(cause error) }) // is called by a map when it begins, which Terminate then ends
	End()                                        // is called by the map when it has ended
	Cause() error                                // with which Terminate was called, or will be; nil before
}

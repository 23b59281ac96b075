// Package items makes items one after another, each with its own outcome: what its
// function returned, or that it panicked, or ended the goroutine.
package items

// Each calls makeLeft, which makes the items that are left, until it returns. If it does
// not, because an item has panicked or ended the goroutine, failed is told what was
// recovered, nil for the end of the goroutine, while the stack is still that of the item.
// Then makeLeft is to go on with the item behind, unless failed returns false.
//
// A panic has ended before the next item is made: within a deferred function, each would be
// under way until the last item has returned, and the stack would grow with it. An item
// that has ended the goroutine leaves nothing else to go on in.
func Each(makeLeft func(), failed func(recovered any) (goOn bool)) {
	for makeSome(makeLeft, failed) {
	}
}

// makeSome calls makeLeft once, or more often if the goroutine ends, and returns true if it
// is to be called again.
func makeSome(makeLeft func(), failed func(recovered any) (goOn bool)) (again bool) {
	hasReturned := false
	defer func() {
		if hasReturned {
			return
		}
		recovered := recover()
		again = failed(recovered)
		if recovered == nil && again { // nobody will call it on this goroutine
			again = false
			Each(makeLeft, failed)
		}
	}()
	makeLeft()
	hasReturned = true
	return false
}

// Outcomes are what came of some items. That few fail spares memory for errors, which the
// garbage collector would look at.
type Outcomes[Out any] struct {
	Values []Out   // of as many as there are items
	Errs   []error // nil if none has failed
}

// Fail keeps the error of item i.
func (o *Outcomes[Out]) Fail(i int, err error) {
	if o.Errs == nil {
		o.Errs = make([]error, len(o.Values))
	}
	o.Errs[i] = err
}

// Err returns the error of item i, if it has failed.
func (o *Outcomes[Out]) Err(i int) error {
	if o.Errs == nil {
		return nil
	}
	return o.Errs[i]
}

package executor

import (
	"fmt"
	"strings"
)

// ItemError is the error of one item of many, with where it was.
type ItemError struct {
	Index int // from 0
	Err   error
}

func (e *ItemError) Error() string { return fmt.Sprintf("item %d: %v", e.Index, e.Err) }
func (e *ItemError) Unwrap() error { return e.Err }

// ItemErrors are the errors of all items that failed, in the order of the items:
// what [CollectErrors], pool.CollectErrors and parallel.CollectErrors keep. [errors.Is] and
// [errors.As] look at each of them.
//
//	var failed executor.ItemErrors
//	if errors.As(err, &failed) {
//		for _, item := range failed {
type ItemErrors []*ItemError

// Error has the first of the errors, and how many there are.
func (e ItemErrors) Error() string {
	const most = 3
	var b strings.Builder
	if len(e) == 1 {
		b.WriteString("1 item failed")
	} else {
		fmt.Fprintf(&b, "%d items failed", len(e))
	}
	separator := ": "
	for _, item := range e[:min(most, len(e))] {
		b.WriteString(separator + item.Error())
		separator = "; "
	}
	if len(e) > most {
		fmt.Fprintf(&b, "; and %d more", len(e)-most)
	}
	return b.String()
}

// Unwrap returns the errors.
func (e ItemErrors) Unwrap() []error {
	errs := make([]error, len(e))
	for i, item := range e {
		errs[i] = item
	}
	return errs
}

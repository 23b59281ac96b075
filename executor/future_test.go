package executor_test

import (
	"errors"
	"testing"

	"github.com/gofutures/futures/executor"
)

// checkAnswers checks all accessors, twice: none changes the state.
func checkAnswers(t *testing.T, c canned) {
	t.Helper()
	f := c.promise.Future()
	for range 2 {
		if got := f.State(); got != c.state {
			t.Errorf("State = %v; want %v", got, c.state)
		}
		wantDone := c.state == executor.Finished || c.state == executor.Cancelled
		if got := isDone(f); got != wantDone {
			t.Errorf("Done is closed: %v; want %v", got, wantDone)
		}
		if got, err := f.Result(ended()); got != c.value || !errors.Is(err, c.err) {
			t.Errorf("Result = %v, %v; want %v, %v", got, err, c.value, c.err)
		}
		if got := f.String(); got != c.text {
			t.Errorf("String = %q; want %q", got, c.text)
		}
	}
}

package executor

import (
	"errors"
	"sync"
	"testing"
)

// A worker that could not be started may be ended at the same moment, because it is not
// needed any more. The race detector says whether the two know of each other.
func TestAWorkerThatDidNotStartIsEndedMeanwhile(t *testing.T) {
	unwanted := errors.New("unwanted")
	for range 100 {
		l := new(link)
		var own sync.WaitGroup
		own.Go(func() { l.end(unwanted) })
		if o := l.bury(); o.ExitCode != -1 || o.reason != nil && o.reason != unwanted {
			t.Fatalf("it died with code %d because of %v; want -1, and nothing or %v", o.ExitCode, o.reason, unwanted)
		}
		own.Wait()
	}
}

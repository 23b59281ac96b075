package procpool

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
		pr := new(process)
		var own sync.WaitGroup
		own.Go(func() { pr.end(unwanted) })
		if d := pr.reap(); d.ExitCode != -1 || d.Reason != nil && d.Reason != unwanted {
			t.Fatalf("it died with code %d because of %v; want -1, and nothing or %v", d.ExitCode, d.Reason, unwanted)
		}
		own.Wait()
	}
}

// Package testhelp has what the tests of several packages share: patience that only
// ends a hang, files by which a test and the calls of its worker processes tell each
// other how far they are, a function for such calls, what was logged, and what the system
// is to refuse.
//
// It does not import the packages that it helps to test, so that their internal tests
// may import it. A test package that wants a name shorter than testhelp.Touch gives
// it one in its helpers_test.go.
package testhelp

import (
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// LongEnough is how long a test waits for what must come. It is no promise of the
// library: a machine under load may take its time.
const LongEnough = time.Minute

// Receive receives from c. If nothing comes, it ends the test, and says what did not
// come and where all goroutines are.
func Receive[T any](t *testing.T, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(LongEnough):
		buf := make([]byte, 1<<20)
		t.Fatalf("%s: nothing after %v\n%s", what, LongEnough, buf[:runtime.Stack(buf, true)])
		panic("not reached")
	}
}

// WaitUntil asks again and again whether it is so, until it is. If that never comes,
// it ends the test, and says what did not come.
func WaitUntil(t *testing.T, what string, isSo func() bool) {
	t.Helper()
	for begin := time.Now(); !isSo(); time.Sleep(time.Millisecond) {
		if time.Since(begin) > LongEnough {
			t.Fatalf("waited %v until %s", LongEnough, what)
		}
	}
}

// EndWorkersAtOnce lets the worker processes of this one end without the second of
// sleep that the race detector has for the end of a process. It is called by an init
// function: the first worker must not have started.
func EndWorkersAtOnce() {
	if _, isWorker := os.LookupEnv("FUTURES_WORKER"); !isWorker {
		_ = os.Setenv("GORACE", strings.TrimSpace(os.Getenv("GORACE")+" atexit_sleep_ms=0"))
	}
}

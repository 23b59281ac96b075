//go:build !unix

package pool_test

import "testing"

func TestWorkerThatIsKilledFailsItsCallAlone(t *testing.T) {
	t.Skip("a process cannot send itself SIGKILL here; one that calls os.Exit is asked in TestBehaviourIsThatOfPythonOrDiffersForAReason")
}

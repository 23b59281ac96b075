package parallel_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/gofutures/futures/executor"
)

func TestMain(m *testing.M) {
	executor.WorkerMain()
	goleak.VerifyTestMain(m)
}

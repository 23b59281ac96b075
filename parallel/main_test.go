package parallel_test

import (
	"testing"

	"github.com/gofutures/futures/executor/executortest"
)

func TestMain(m *testing.M) { executortest.Main(m) }

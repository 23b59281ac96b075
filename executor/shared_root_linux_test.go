package executor_test

import (
	"context"
	"errors"
	"os"
	"syscall"
	"testing"

	"github.com/gofutures/futures/executor"
)

func init() {
	hosts["gives up root"] = rootHost
	executor.Register(fillShared)
}

// fillShared writes to what it gets.
func fillShared(_ context.Context, s *executor.Shared[float64]) (int, error) {
	for i := range s.Slice() {
		s.Slice()[i] = 2
	}
	return len(s.Slice()), nil
}

// rootHost is nobody from some moment on. Its /proc belongs to root then.
func rootHost(when string) {
	ctx := context.Background()
	ex := &executor.ProcessPoolExecutor{MaxWorkers: 1}
	defer ex.Close()
	if when == "after a worker has started" {
		mustInHost(ex, deed{Verb: "tell"})
	}
	if err := syscall.Setuid(65534); err != nil {
		giveUp("setuid: %v", err)
	}
	s, err := executor.NewShared[float64](1000)
	if err != nil {
		giveUp("NewShared: %v", err)
	}
	if n, err := executor.Submit(ctx, ex, fillShared, s.Writable()).Result(ctx); n != 1000 || err != nil {
		giveUp("fill = %d, %v; want 1000, nil", n, err)
	}
	for _, fn := range []executor.Func[*executor.Shared[float64], float64]{sumShared2, sumSharedInNestedPool} {
		if sum, err := executor.Submit(ctx, ex, fn, s).Result(ctx); sum != 2000 || err != nil {
			giveUp("sum = %v, %v; want 2000, nil", sum, err)
		}
	}
	data, err := executor.Encode(s)
	if err != nil {
		giveUp("Encode: %v", err)
	}
	if err := errors.Join(s.Close(), ex.Close()); err != nil {
		giveUp("Close: %v", err)
	}
	late := &executor.ProcessPoolExecutor{MaxWorkers: 1}
	defer late.Close()
	if text, err := executor.Submit(ctx, late, decodeShared, data).Result(ctx); text != "closed" || err != nil {
		giveUp("a worker that gets it after Close: %q, %v; want that it is closed", text, err)
	}
}

func TestSharedOfAProgramThatHasGivenUpRoot(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can give it up")
	}
	t.Parallel()
	for _, when := range []string{"at once", "after a worker has started"} {
		t.Run(when, func(t *testing.T) {
			t.Parallel()
			startHost(t, "gives up root", when).mustSucceed()
		})
	}
}

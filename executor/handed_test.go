package executor_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/gofutures/futures/executor"
)

// cancelling hands its calls on while another goroutine cancels them.
type cancelling struct {
	to       executor.Executor
	cancels  *sync.WaitGroup
	isStored bool // it encodes the call itself
}

func (c cancelling) Workers() int { return c.to.Workers() }

func (c cancelling) Execute(ctx context.Context, call *executor.Call) {
	c.cancels.Go(func() { call.Cancel() })
	if !c.isStored {
		c.to.Execute(ctx, call)
		return
	}
	r, err := call.Encode()
	if err == nil && call.Start() {
		reply, err := executor.Invoke(ctx, r)
		call.Complete(reply, err)
	}
}

// A call may be cancelled at any moment of its way into an executor, also while its
// argument is encoded: then it is cancelled, or it is made with the whole argument.
func TestACallMayBeCancelledWhileItIsEncoded(t *testing.T) {
	var cancels sync.WaitGroup
	pool := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1})
	for name, ex := range map[string]cancelling{
		"by a process pool": {to: pool, cancels: &cancels},
		"by Encode":         {to: pool, cancels: &cancels, isStored: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Cleanup(cancels.Wait)
			in := make([]string, 100)
			for i := range in {
				in[i] = "some text"
			}
			for range 300 {
				out, err := executor.Submit(t.Context(), ex, countTexts, in).Result(t.Context())
				if err != nil && !errors.Is(err, executor.ErrCancelled) {
					t.Fatal(err)
				}
				if err == nil && out != len(in) {
					t.Fatalf("the function was given %d texts; want %d", out, len(in))
				}
				var outs []int
				if outs, err = executor.MapSlice(t.Context(), ex, countTexts, [][]string{in, in, in}, executor.ChunkSize(3)); err != nil && !errors.Is(err, executor.ErrCancelled) {
					t.Fatal(err)
				}
				for i, out := range outs {
					if err == nil && out != len(in) {
						t.Fatalf("element %d was given %d texts; want %d", i, out, len(in))
					}
				}
			}
		})
	}
}

func init() { executor.Register(countTexts) }

func countTexts(_ context.Context, texts []string) (int, error) {
	n := 0
	for _, text := range texts {
		if text == "some text" {
			n++
		}
	}
	return n, nil
}

package executor_test

import (
	"context"
	"testing"

	"github.com/gofutures/futures/executor"
)

// atOnce makes each call at once, as it would be made elsewhere.
type atOnce struct{}

func (atOnce) Workers() int                    { return 1 }
func (atOnce) Withdraw(*executor.Call) bool    { return true }
func (atOnce) Interrupt(*executor.Call, error) {}
func (atOnce) Lend(*executor.Call)             {}
func (atOnce) Reclaim(*executor.Call)          {}
func (atOnce) Execute(_ context.Context, c *executor.Call) {
	r, err := c.Encode()
	if err == nil && c.Start() {
		c.Complete(executor.Invoke(c.Context(), r))
	}
}

// BenchmarkOutside shows what a call costs on an executor outside of this package that
// hears of cancels and lends places, beside what Encode and Invoke take: at most 250 ns
// and 3 objects more.
func BenchmarkOutside(b *testing.B) {
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	b.Run("encode and invoke", func(b *testing.B) {
		b.ReportAllocs()
		c, _ := capture(remoteDouble, 4)
		for b.Loop() {
			r, err := c.Encode()
			if err != nil {
				b.Fatal(err)
			}
			if _, err = executor.Invoke(ctx, r); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("call", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if n, err := executor.Submit(ctx, atOnce{}, remoteDouble, 4).Result(ctx); n != 8 || err != nil {
				b.Fatal(n, err)
			}
		}
	})
}

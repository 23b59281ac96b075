package pool_test

import (
	"context"
	"testing"

	"github.com/gofutures/futures/executor"
	"github.com/gofutures/futures/pool"
)

// seats is an executor of somebody else's, with as many places as there is room in the
// channel. It learns from the package which calls lend theirs.
type seats chan struct{}

func (s seats) Workers() int { return cap(s) }

func (s seats) Execute(ctx context.Context, c *executor.Call) {
	go func() {
		s <- struct{}{}
		c.Run(ctx)
		<-s
	}()
}

func (s seats) Lend(*executor.Call)    { <-s }
func (s seats) Reclaim(*executor.Call) { s <- struct{}{} }

// A pool over an executor that lends places lends them, too: else the only place is kept by
// the element that waits for another call.
func TestElementsLendThePlacesOfTheExecutorBelow(t *testing.T) {
	p := pool.Over(make(seats, 1))
	defer p.Close()
	doubled := func(ctx context.Context, n int) (int, error) {
		return executor.Submit(ctx, p, double, n).Result(ctx)
	}
	for name, run := range map[string]func() ([]int, error){
		"Map":      func() ([]int, error) { return pool.Map(t.Context(), p, doubled, []int{1, 2}) },
		"MapAsync": func() ([]int, error) { return pool.MapAsync(t.Context(), p, doubled, []int{1, 2}).Result(t.Context()) },
		"Apply": func() ([]int, error) {
			n, err := pool.Apply(t.Context(), p, doubled, 1)
			return []int{n, 4}, err
		},
		"Submit": func() ([]int, error) {
			n, err := executor.Submit(t.Context(), p, doubled, 1).Result(t.Context())
			return []int{n, 4}, err
		},
	} {
		var out []int
		err := inTime(t, name, func() (err error) { out, err = run(); return err })
		if err != nil || len(out) != 2 || out[0] != 2 || out[1] != 4 {
			t.Errorf("%s = %v, %v; want [2 4], nil", name, out, err)
		}
	}
}

package main

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// What is written without a library, or with golang.org/x/sync.

var (
	errGroup       = poolKind{"errgroup", func(workers int) (pool, error) { return groupCalls{workers}, nil }}
	goroutines     = poolKind{"go + WaitGroup", func(int) (pool, error) { return rawCalls{}, nil }}
	goAndChannel   = poolKind{"go + channel", func(int) (pool, error) { return rawCalls{}, nil }}
	channelFutures = poolKind{"channel futures", func(workers int) (pool, error) { return newChannelCalls(workers), nil }}
)

// groupCalls is errgroup with SetLimit: a group is for one batch of calls, and Go
// blocks while there are so many goroutines.
type groupCalls struct{ workers int }

func (g groupCalls) run(items, out []int64, producers int) error {
	var group errgroup.Group
	group.SetLimit(g.workers)
	err := produce(len(items), producers, func(from, to int) error {
		for i := from; i < to; i++ {
			x := items[i]
			group.Go(func() error {
				out[i] = call(x)
				return nil
			})
		}
		return nil
	})
	if err != nil {
		return err
	}
	return group.Wait()
}

func (g groupCalls) one(item int64) (result int64, _ error) {
	var group errgroup.Group
	group.SetLimit(g.workers)
	group.Go(func() error { result = call(item); return nil })
	err := group.Wait()
	return result, err
}

func (groupCalls) close() {}

// rawCalls is one goroutine for each call, without a limit.
type rawCalls struct{}

func (rawCalls) run(items, out []int64, producers int) error {
	var wg sync.WaitGroup
	err := produce(len(items), producers, func(from, to int) error {
		for i := from; i < to; i++ {
			x := items[i]
			wg.Go(func() { out[i] = call(x) })
		}
		return nil
	})
	wg.Wait()
	return err
}

func (rawCalls) one(item int64) (int64, error) {
	result := make(chan int64, 1)
	go func() { result <- call(item) }()
	return <-result, nil
}

func (rawCalls) pile(items, out []int64, gate <-chan struct{}) (wait func() error) {
	var wg sync.WaitGroup
	for i, x := range items {
		wg.Go(func() { <-gate; out[i] = call(x) })
	}
	return func() error { wg.Wait(); return nil }
}

func (rawCalls) close() {}

// channelCalls is what is made by hand for calls with results: goroutines that range
// over a buffered channel of functions, and a channel for each result. Submitting
// blocks while the buffer is full.
type channelCalls struct {
	queue   chan func()
	workers sync.WaitGroup
	results []chan int64
}

func newChannelCalls(workers int) *channelCalls {
	c := &channelCalls{queue: make(chan func(), 1024)}
	for range workers {
		c.workers.Go(func() {
			for f := range c.queue {
				f()
			}
		})
	}
	return c
}

func (c *channelCalls) run(items, out []int64, producers int) error {
	c.results = grown(c.results, len(items))
	return produce(len(items), producers, func(from, to int) error {
		for i := from; i < to; i++ {
			x, result := items[i], make(chan int64, 1)
			c.queue <- func() { result <- call(x) }
			c.results[i] = result
		}
		for i := from; i < to; i++ {
			out[i] = <-c.results[i]
			c.results[i] = nil
		}
		return nil
	})
}

func (c *channelCalls) one(item int64) (int64, error) {
	result := make(chan int64, 1)
	c.queue <- func() { result <- call(item) }
	return <-result, nil
}

func (c *channelCalls) close() {
	close(c.queue)
	c.workers.Wait()
}

var (
	plainLoop = mapKind{"plain loop", func(int) (mapping, error) {
		return kept(func(items []int64, f function) ([]int64, error) {
			out := make([]int64, len(items))
			for i, x := range items {
				out[i] = f.plain(x)
			}
			return out, nil
		})
	}}
	chunkedErrgroup = mapKind{"errgroup, chunked", func(workers int) (mapping, error) {
		return kept(func(items []int64, f function) ([]int64, error) {
			out := make([]int64, len(items))
			var group errgroup.Group
			for w := range workers {
				from, to := len(items)*w/workers, len(items)*(w+1)/workers
				group.Go(func() error {
					chunk := out[from:to]
					for i, x := range items[from:to] {
						chunk[i] = f.plain(x)
					}
					return nil
				})
			}
			err := group.Wait()
			return out, err
		})
	}}
	// The same with the function that this library calls, whose ctx and error cost
	// something too.
	chunkedErrgroupIn = mapKind{"errgroup, chunked, ctx and error", func(workers int) (mapping, error) {
		return kept(func(items []int64, f function) ([]int64, error) {
			out := make([]int64, len(items))
			group, ctx := errgroup.WithContext(context.Background())
			for w := range workers {
				from, to := len(items)*w/workers, len(items)*(w+1)/workers
				group.Go(func() error {
					chunk := out[from:to]
					for i, x := range items[from:to] {
						v, err := f.in(ctx, x)
						if err != nil {
							return err
						}
						chunk[i] = v
					}
					return nil
				})
			}
			err := group.Wait()
			return out, err
		})
	}}
	errgroupMap = mapKind{"errgroup, one by one", func(workers int) (mapping, error) {
		return kept(func(items []int64, f function) ([]int64, error) {
			out := make([]int64, len(items))
			var group errgroup.Group
			group.SetLimit(workers)
			for i, x := range items {
				group.Go(func() error { out[i] = f.plain(x); return nil })
			}
			err := group.Wait()
			return out, err
		})
	}}
)

// idealTime is how long the calls of the items would take if the workers shared them
// perfectly and for nothing: all workers do their part of the steps at once, and the
// time is the mean of their ends, so that nobody waits for the slowest.
func idealTime(items []int64, workers int) time.Duration {
	var steps int64
	for _, x := range items {
		steps += x >> stepShift
	}
	each := steps / int64(len(items))
	spent := make([]time.Duration, workers)
	var wg sync.WaitGroup
	begin := time.Now()
	for w := range workers {
		wg.Go(func() {
			for range len(items) / workers {
				_ = call(item(w, each))
			}
			spent[w] = time.Since(begin)
		})
	}
	wg.Wait()
	var sum time.Duration
	for _, d := range spent {
		sum += d
	}
	return sum / time.Duration(workers)
}

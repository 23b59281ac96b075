package main

import "sync"

// A poolKind is one way to make calls: a library, or what is written without one.
type poolKind struct {
	name string
	open func(workers int) (pool, error)
}

// A pool makes calls with a fixed number of workers, if its kind has them.
type pool interface {
	// run makes the call of each item, from so many producers at once, and returns
	// when all results are in out, in the order of the items unless the pool is
	// unordered.
	run(items, out []int64, producers int) error
	// one makes one call, waits for it, and returns its result.
	one(item int64) (int64, error)
	close()
}

// An unorderedPool loses the order of the results.
type unorderedPool interface{ unordered() }

// A pilingPool takes calls while all workers are busy.
type pilingPool interface {
	pool
	// pile keeps each worker busy until gate is closed, submits the call of each item,
	// and returns what waits for the results.
	pile(items, out []int64, gate <-chan struct{}) (wait func() error)
}

// A mapKind is one way to call a function for each element of a slice.
type mapKind struct {
	name string
	open func(workers int) (mapping, error)
}

// A mapping is a mapKind that is ready: its workers, if it keeps any, stay.
type mapping struct {
	do    func(items []int64, f function) ([]int64, error)
	close func()
}

// kept is a mapping that keeps nothing between calls.
func kept(do func(items []int64, f function) ([]int64, error)) (mapping, error) {
	return mapping{do, func() {}}, nil
}

// produce splits n items among producers, and returns the first error.
func produce(n, producers int, f func(from, to int) error) error {
	if producers == 1 {
		return f(0, n)
	}
	errs := make([]error, producers)
	var wg sync.WaitGroup
	for p := range producers {
		wg.Go(func() { errs[p] = f(n*p/producers, n*(p+1)/producers) })
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// grown returns s with n elements, if need be a new one: what a program keeps that
// makes such calls again and again.
func grown[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}

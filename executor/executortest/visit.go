package executortest

import (
	"context"
	"errors"
	"sync"

	"github.com/gofutures/futures/executor"
)

// A visit is a closure of the test that is a call: it submits to its own executor, or
// tells the test what it has seen. Executors that make calls elsewhere do not take
// closures. Some of them, in their own tests, make calls in this process all the same:
// there the visit has a number, and a registered function finds it.
type visit func(context.Context) (int, error)

// visits are those that have a number.
var visits struct {
	mu       sync.Mutex // guards the fields below
	last     int
	byNumber map[int]visit
}

// errNotHere is the error of a visit by its number in another process.
var errNotHere = errors.New("the visit is of another process")

// makeVisit is the function that finds a visit.
func makeVisit(ctx context.Context, number int) (int, error) {
	visits.mu.Lock()
	v := visits.byNumber[number]
	visits.mu.Unlock()
	if v == nil {
		return 0, errNotHere
	}
	return v(ctx)
}

// addVisit gives v a number, until the case ends.
func (k *trial) addVisit(v visit) (number int) {
	visits.mu.Lock()
	visits.last++
	number = visits.last
	if visits.byNumber == nil {
		visits.byNumber = make(map[int]visit)
	}
	visits.byNumber[number] = v
	visits.mu.Unlock()
	k.mu.Lock()
	k.visits = append(k.visits, number)
	k.mu.Unlock()
	return number
}

// forgetVisits is for the end of the case.
func (k *trial) forgetVisits() {
	k.mu.Lock()
	defer k.mu.Unlock()
	visits.mu.Lock()
	defer visits.mu.Unlock()
	for _, number := range k.visits {
		delete(visits.byNumber, number)
	}
}

// visit submits v.
func (k *trial) visit(ctx context.Context, v visit) *executor.Future[int] {
	if k.byNumber {
		return executor.Submit(ctx, k.ex, makeVisit, k.addVisit(v))
	}
	return executor.Go(ctx, k.ex, v)
}

// needVisits skips the case if the executor makes no calls in this process.
func (k *trial) needVisits() {
	nothing := func(context.Context) (int, error) { return 0, nil }
	f := executor.Go(k.ctx, k.ex, nothing)
	if _, err := result(k, "a closure", f); !errors.Is(err, executor.ErrNotRegistered) {
		return
	}
	k.byNumber = true
	if _, err := result(k, "a call that looks for its test", k.visit(k.ctx, nothing)); err != nil {
		k.skip("the executor makes calls in other processes: %v", err)
	}
}

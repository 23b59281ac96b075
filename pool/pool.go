package pool

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/gofutures/futures/executor"
)

// Pool makes calls on the executor that it was made for. All methods are safe for
// many goroutines. A Pool is an [executor.Executor] too.
type Pool struct {
	ex       executor.Executor
	own      owned         // ex, if the pool has made it
	patience time.Duration // how long Terminate waits; 0: until all calls have ended
	isChunky bool          // the default chunk is multiprocessing's

	mu       sync.Mutex // guards the fields below
	isClosed bool
	jobs     map[job]bool  // that are under way: whether Close waits for them
	awaited  int           // of these, those that it waits for
	idle     chan struct{} // closed when there are none, if somebody waits for that
}

// owned is an executor that has an end.
type owned interface {
	executor.Executor
	Close() error
	Shutdown(context.Context) error
}

// patience is how long Terminate waits for functions that cannot be ended.
const patience = time.Second

// Threads returns a pool of n goroutines, 0 for GOMAXPROCS:
// multiprocessing.pool.ThreadPool. If n is negative, each call fails and says so.
func Threads(n int) *Pool {
	ex := &executor.ThreadPoolExecutor{MaxWorkers: n, Name: "pool"}
	return &Pool{ex: ex, own: ex, patience: patience}
}

// Processes returns a pool of n worker processes, 0 for GOMAXPROCS:
// multiprocessing.Pool. If n is negative, each call fails and says so. Functions
// are registered with [executor.Register], and main begins with
// [executor.WorkerMain].
//
// The processes start when there are calls for them. For maxtasksperchild, an
// initializer and other options, make an [executor.ProcessPoolExecutor] and a
// pool [Over] it.
func Processes(n int) *Pool {
	ex := &executor.ProcessPoolExecutor{MaxWorkers: n, Name: "pool"}
	return &Pool{ex: ex, own: ex, isChunky: true}
}

// Over returns a pool that makes its calls on ex, which others may use too. Close
// and Terminate end what the pool has begun there, and leave ex open.
func Over(ex executor.Executor) *Pool {
	if _, ok := ex.(*executor.ProcessPoolExecutor); ok {
		return &Pool{ex: ex, isChunky: true}
	}
	return &Pool{ex: ex, patience: patience}
}

// Workers returns the number of calls that run at once, 0 if there is no limit.
func (p *Pool) Workers() int {
	if p == nil || p.ex == nil {
		return 0
	}
	return p.ex.Workers()
}

// Execute makes a call that was submitted with the pool as its executor.
func (p *Pool) Execute(ctx context.Context, c *executor.Call) {
	err := p.refusal()
	if err == nil && p.own == nil {
		err = p.watch(c)
	}
	if err != nil {
		c.Reject(err)
		return
	}
	c.HandOn(ctx, p.ex)
}

// watch makes a job of a call whose end on its executor is not that of the pool.
func (p *Pool) watch(c *executor.Call) error {
	if err := p.wrong(); err != nil {
		return err
	}
	j := calling{c}
	if err := p.add(j, true); err != nil {
		return err
	}
	c.OnDone(func() { p.finish(j) })
	return nil
}

// refusal returns why the pool takes no calls, if so.
func (p *Pool) refusal() error {
	if err := p.wrong(); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closed()
}

// wrong returns why the pool can take no calls, if it was not made as it should be.
func (p *Pool) wrong() error {
	switch {
	case p == nil:
		return errors.New("pool: nil Pool")
	case p.ex == nil:
		return errors.New("pool: this Pool has no executor; Threads, Processes and Over make one that has")
	}
	return nil
}

// closed returns the error of a pool that is closed. p.mu is held.
func (p *Pool) closed() error {
	if p.isClosed {
		return fmt.Errorf("pool: the Pool is closed: %w", executor.ErrShutdown)
	}
	return nil
}

// job is a Map, an Imap, or a call that is under way. Terminate stops it.
type job interface{ Stop(cause error) }

// calling is a call of another executor as a job.
type calling struct{ *executor.Call }

func (c calling) Stop(error) { go c.Cancel() } // which calls its callbacks

// begin begins a map with the user's ctx, and returns what the map is given as its ctx. Its
// functions are given the user's, which goes on when the map has returned.
func (p *Pool) begin(ctx context.Context, doing string, isAwaited bool) (*stoppable, error) {
	if ctx == nil {
		return nil, fmt.Errorf("pool: %s: nil Context", doing)
	}
	if err := p.wrong(); err != nil {
		return nil, err
	}
	j := &stoppable{Context: ctx}
	return j, p.add(j, isAwaited)
}

// add adds a job, unless the pool is closed.
func (p *Pool) add(j job, isAwaited bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.closed(); err != nil {
		return err
	}
	if p.jobs == nil {
		p.jobs = map[job]bool{}
	}
	if isAwaited && !p.jobs[j] { // a call may come twice, and ends once
		p.awaited++
	}
	p.jobs[j] = isAwaited
	return nil
}

// finish takes out a job that is over.
func (p *Pool) finish(j job) {
	p.mu.Lock()
	defer p.mu.Unlock()
	isAwaited := p.jobs[j]
	delete(p.jobs, j)
	if !isAwaited {
		return
	}
	p.awaited--
	if p.awaited == 0 && p.idle != nil {
		close(p.idle)
	}
}

// close takes no more calls, and returns a channel that is closed when no job is
// left that Close waits for, and the jobs that are under way.
func (p *Pool) close() (idle <-chan struct{}, jobs []job) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.isClosed = true
	if p.idle == nil {
		p.idle = make(chan struct{})
		if p.awaited == 0 {
			close(p.idle)
		}
	}
	return p.idle, slices.Collect(maps.Keys(p.jobs))
}

// Close takes no more calls and waits for those it has taken, and for the workers
// to end: close and join in one. An [Imap] that is half read does not hold it up:
// the calls that it has made end, and its next step says that the pool is closed.
//
// Close may be called again and by many goroutines. A function that runs on the
// pool must not call it: it would wait for itself.
func (p *Pool) Close() error {
	if p == nil {
		return nil
	}
	idle, _ := p.close()
	<-idle
	if p.own == nil {
		return nil
	}
	return p.own.Close()
}

// Terminate takes no more calls, cancels those that have not started and ends the
// ctx of those that run: terminate and join in one. A worker process whose call
// does not return then is killed after a second. Every future of the pool is
// done when Terminate returns, with one exception: a goroutine cannot be killed.
// If a function does not mind that its ctx has ended, Terminate waits for it for a
// second and returns an error that matches [executor.ErrPending]; the future is
// done when the function returns.
//
// Terminate may be called again and by many goroutines, also when Close waits.
func (p *Pool) Terminate() error {
	if p == nil {
		return nil
	}
	idle, jobs := p.close()
	for _, j := range jobs {
		j.Stop(errTerminated)
	}
	ctx := context.Background()
	if p.patience > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, p.patience)
		defer cancel()
	}
	if p.own != nil {
		ended, end := context.WithCancel(ctx)
		end()
		_ = p.own.Shutdown(ended) // tells all that run
		if err := p.own.Shutdown(ctx); err != nil {
			return err
		}
	}
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("pool: Terminate: %w: functions that do not mind their ctx", executor.ErrPending)
	}
}

// errTerminated is why the ctx of a call ends in Terminate.
var errTerminated error = terminated{}

// terminated matches ErrCancelled without its text.
type terminated struct{}

func (terminated) Error() string { return "pool: terminated" }
func (terminated) Unwrap() error { return executor.ErrCancelled }

package executortest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gofutures/futures/executor"
)

// What an executor may have besides the methods of [executor.Executor].
type (
	closer     interface{ Close() error }
	shutdowner interface {
		Shutdown(context.Context) error
	}
	statser interface{ Stats() executor.Stats }
	seeder  interface{ Seed() uint64 } // draws the order of its calls
)

// trial is one promise being checked on one executor.
type trial struct {
	ctx    context.Context // of what the case submits and waits for
	cancel context.CancelFunc
	ex     executor.Executor
	dir    string
	inline bool // ex makes each call before Submit returns

	byNumber bool // ex does not take closures, and makes calls in this process

	mu       sync.Mutex // guards the fields below
	waiting  string     // what for
	failures []string
	skipped  string
	gates    []string
	paths    int
	visits   []int // their numbers
}

func newTrial(dir string, inline bool) *trial {
	k := &trial{dir: dir, inline: inline, waiting: "the executor to open"}
	k.ctx, k.cancel = context.WithCancel(context.Background())
	return k
}

// run opens an executor, checks p on it, and closes it.
func (k *trial) run(p promise, open func(int) executor.Executor) {
	k.contain(func() { k.runOn(p, open) })
}

func (k *trial) runOn(p promise, open func(int) executor.Executor) {
	workers := p.workers
	if workers == 0 {
		workers = 2
	}
	if k.ex = open(workers); k.ex == nil {
		k.fatal("open(%d) = nil; want an executor", workers)
	}
	defer k.close()
	p.check(k)
}

// contain calls fn and makes a panic of it a failure.
func (k *trial) contain(fn func()) {
	defer func() {
		if v := recover(); v != nil {
			k.violated("panic: %v; want none\n\n%s", v, debug.Stack())
		}
	}()
	fn()
}

// open lets all calls go.
func (k *trial) open() {
	k.mu.Lock()
	gates := k.gates
	k.mu.Unlock()
	for _, gate := range gates {
		k.create(gate)
	}
}

// close lets all calls go and closes the executor, if it can be closed.
func (k *trial) close() {
	defer k.forgetVisits()
	k.open()
	if c, ok := k.ex.(closer); ok {
		k.await("Close to return")
		if err := c.Close(); err != nil {
			k.violated("Close = %v; want nil", err)
		}
	}
}

// violated says how the promise is not kept. The case goes on.
func (k *trial) violated(format string, args ...any) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.failures = append(k.failures, fmt.Sprintf(format, args...))
}

// fatal is violated, and ends the case.
func (k *trial) fatal(format string, args ...any) {
	k.violated(format, args...)
	runtime.Goexit()
}

// skip ends the case, to which the promise does not apply.
func (k *trial) skip(format string, args ...any) {
	k.mu.Lock()
	k.skipped = fmt.Sprintf(format, args...)
	k.mu.Unlock()
	runtime.Goexit()
}

func (k *trial) verdict() verdict {
	k.mu.Lock()
	defer k.mu.Unlock()
	return verdict{slices.Clone(k.failures), k.skipped}
}

// await notes what the case waits for, for the report if it hangs.
func (k *trial) await(format string, args ...any) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.waiting = fmt.Sprintf(format, args...)
}

func (k *trial) awaited() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.waiting
}

// until waits until reached returns true.
func (k *trial) until(reached func() bool, format string, args ...any) {
	k.await(format, args...)
	for !reached() {
		if !pause(k.ctx) {
			runtime.Goexit() // the case has been given up
		}
	}
}

// receive waits for something to come.
func receive[T any](k *trial, c <-chan T, format string, args ...any) T {
	k.await(format, args...)
	select {
	case v := <-c:
		return v
	case <-k.ctx.Done():
		runtime.Goexit()
		panic("unreachable")
	}
}

// result waits for the result of what.
func result[T any](k *trial, what string, f *executor.Future[T]) (T, error) {
	k.await("the result of %s", what)
	return f.Result(k.ctx)
}

// finish waits until all of fs have ended.
func finish[T any](k *trial, what string, fs ...*executor.Future[T]) {
	for i, f := range fs {
		_, _ = result(k, fmt.Sprintf("%s (%d of %d)", what, i+1, len(fs)), f)
	}
}

// newPath returns the name of a file that does not exist.
func (k *trial) newPath(name string) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.paths++
	return filepath.Join(k.dir, fmt.Sprintf("%s-%d", name, k.paths))
}

// newGate returns a gate, which at the latest the end of the case opens.
func (k *trial) newGate() string {
	gate := k.newPath("gate")
	k.mu.Lock()
	defer k.mu.Unlock()
	k.gates = append(k.gates, gate)
	return gate
}

// create makes a file, and so opens a gate.
func (k *trial) create(path string) {
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		k.violated("the test itself: %v", err)
	}
}

// job returns the argument of a call that works until gate is open, "" if it
// is not to wait.
func (k *trial) job(name, gate string) job {
	return job{Name: name, Log: filepath.Join(k.dir, "log"), Gate: gate}
}

// jobs returns n jobs with the names prefix0, prefix1, and so on.
func (k *trial) jobs(n int, prefix, gate string) []job {
	out := make([]job, n)
	for i := range out {
		out[i] = k.job(fmt.Sprintf("%s%d", prefix, i), gate)
	}
	return out
}

// events returns the lines of the log.
func (k *trial) events() []string {
	text, err := os.ReadFile(filepath.Join(k.dir, "log"))
	if err != nil && !os.IsNotExist(err) {
		k.violated("the test itself: %v", err)
	}
	return strings.Split(strings.TrimSpace(string(text)), "\n")
}

// names returns the names of the calls that have written event to the log, in
// the order in which they did.
func (k *trial) names(event string) []string {
	var names []string
	for _, line := range k.events() {
		if name, ok := strings.CutPrefix(line, event+" "); ok {
			names = append(names, name)
		}
	}
	return names
}

// has reports whether the call name has written event.
func (k *trial) has(event, name string) bool { return slices.Contains(k.names(event), name) }

// untilAll waits until all jobs have written event.
func (k *trial) untilAll(event string, jobs ...job) {
	for _, j := range jobs {
		k.until(func() bool { return k.has(event, j.Name) }, "the %s of call %s", event, j.Name)
	}
}

// launch submits jobs to work and returns when they are taken. What it returns
// waits for their futures: an executor that makes calls before Submit returns
// is given them on other goroutines.
func (k *trial) launch(ctx context.Context, jobs ...job) (collect func() []*executor.Future[string]) {
	var futures []*executor.Future[string]
	if !k.inline {
		for _, j := range jobs {
			futures = append(futures, executor.Submit(ctx, k.ex, work, j))
		}
		return func() []*executor.Future[string] { return futures }
	}
	come := make(chan *executor.Future[string], len(jobs))
	for _, j := range jobs {
		go k.contain(func() { come <- executor.Submit(ctx, k.ex, work, j) })
		k.untilAll("start", j)
	}
	return func() []*executor.Future[string] {
		for range jobs {
			futures = append(futures, receive(k, come, "Submit to return"))
		}
		return futures
	}
}

// occupy gives work to all workers, so that further calls are queued, until
// the gate that it returns is open. It skips the case if nothing is queued.
func (k *trial) occupy() (gate string, running []*executor.Future[string]) {
	k.needQueue()
	gate = k.newGate()
	jobs := k.jobs(k.ex.Workers(), "occupier", gate)
	collect := k.launch(k.ctx, jobs...)
	k.untilAll("start", jobs...)
	return gate, collect()
}

// needQueue skips the case if nothing is ever queued.
func (k *trial) needQueue() {
	if k.inline {
		k.skip("the executor makes each call before Submit returns: nothing is queued")
	}
	if k.ex.Workers() == 0 {
		k.skip("the executor has no limit (Workers is 0): nothing is queued")
	}
}

// needFuture skips the case if a call that runs has no future yet.
func (k *trial) needFuture() {
	if k.inline {
		k.skip("the executor makes each call before Submit returns: nobody has the future of a call that runs")
	}
}

// need returns ex as one that has more methods, or skips the case.
func need[T any](k *trial, method string) T {
	more, ok := k.ex.(T)
	if !ok {
		k.skip("the executor, a %T, has no method %s", k.ex, method)
	}
	return more
}

// pause waits a moment, and reports whether ctx has not ended.
func pause(ctx context.Context) bool {
	moment := time.NewTimer(time.Millisecond)
	defer moment.Stop()
	select {
	case <-moment.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

package parallel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/gofutures/futures/executor"
)

// Jobs says how calls are made: the arguments of joblib.Parallel. The zero value
// makes one call after another, as joblib does, unless the ctx has a
// configuration; see [WithConfig].
type Jobs struct {
	// N is how many calls are made at once: n_jobs. 1 is one after another, -1 is as
	// many as there are CPUs, -2 one less; math.MaxInt is no limit. 0 is that of the
	// configuration, or the Workers of the Executor, or 1.
	N int

	// Backend is the name of what makes the calls: "threads" (joblib's
	// "threading"), "processes" ("loky", "multiprocessing"), "sequential", or one
	// that was given to RegisterBackend. "" is that of the configuration, or
	// "threads". It is opened for each run and closed at its end. One call at a time
	// is always made by "sequential".
	//
	// A worker process of "processes" gets GOMAXPROCS for its share of the CPUs.
	Backend string

	// Executor makes the calls, instead of a Backend. It stays open, and others may
	// use it. Of a process pool of your own, set Env for what a Parallel inside a
	// call may use: GOMAXPROCS.
	Executor executor.Executor

	// BatchSize is how many calls go to a worker together: batch_size. 0 is one, or
	// in other processes as many as take about 0.2 to 2 seconds, by joblib's
	// formulas. With a Timeout it is 1. The batches for all workers are taken from the
	// source together, but no more than some 260,000 calls.
	BatchSize int

	// PreDispatch is how many calls are taken from the source ahead of the results:
	// pre_dispatch. 0 is 2 x N, and PreDispatchAll is all of them. As batches get
	// longer, so many batches are ahead as these calls were at first.
	PreDispatch int

	// Timeout is how long each call may take, from its start. Then its ctx ends, and
	// its outcome is a TimeoutError, whatever it returns; in a worker process it is
	// killed if it does not return within a second. Then no more than 2 x N calls are
	// ahead there. With a Timeout, the ctx of a call ends when the call returns. 0 is no
	// limit.
	Timeout time.Duration

	// OnError says what happens when a call fails: StopAtFirst, CollectErrors, or
	// UseDefault.
	OnError Policy

	// Verbose is how much is printed about the progress, in joblib's words: 0 is
	// nothing, 10 is a line for each few calls, above 10 for each one.
	Verbose int

	// Output is where that goes. nil is stderr, and from Verbose 50 on stdout.
	Output io.Writer

	// Progress is called with how far it is, at the beginning and when calls have
	// ended, never twice at once, on the goroutine that runs Run or takes results
	// from Stream. A panic in it is that goroutine's. Of a batch in another process, it
	// is told some times a second how many calls have ended, and at the end of the batch
	// how many have failed. (joblib tells of batches only, as the lines of Verbose do.)
	Progress func(Stats)
}

// PreDispatchAll is a PreDispatch: "all".
const PreDispatchAll = -1

// Stats is how far a run is.
type Stats struct {
	Done      int // calls that have ended, also those that have failed
	Failed    int
	Total     int // 0: not yet known
	Elapsed   time.Duration
	Rate      float64       // calls a second so far
	Remaining time.Duration // at this rate; 0 if Total is not known
}

// Policy says what happens when a call fails. The zero Policy is [StopAtFirst].
type Policy struct {
	kind  policyKind
	value any
}

type policyKind int

const (
	stopAtFirst policyKind = iota
	collectErrors
	useDefault
)

var (
	// StopAtFirst ends a run with the error of the lowest index, the one that a plain
	// loop would have met: calls behind it are cancelled, calls before it finished.
	StopAtFirst = Policy{}

	// CollectErrors makes all calls. The error of a run is then
	// [executor.ItemErrors], with each failed call's, and the results of the others
	// are returned beside it.
	CollectErrors = Policy{kind: collectErrors}
)

// UseDefault makes all calls and takes v, of the type of the results, as the
// result of those that fail. No error tells of them; Stats.Failed counts them.
func UseDefault(v any) Policy { return Policy{useDefault, v} }

func (p Policy) String() string {
	switch p.kind {
	case collectErrors:
		return "CollectErrors"
	case useDefault:
		return fmt.Sprintf("UseDefault(%v)", p.value)
	}
	return "StopAtFirst"
}

// configKey is the key of a ctx's Jobs.
type configKey struct{}

// WithConfig returns a ctx under which the fields of a [Jobs] that are zero are
// those of j: joblib.parallel_config. It holds for what is called with that ctx, but
// not inside the calls of a Parallel that makes several at once: there, what is
// left of the CPUs decides.
func WithConfig(ctx context.Context, j Jobs) context.Context {
	return context.WithValue(ctx, configKey{}, j.or(configOf(ctx)))
}

func configOf(ctx context.Context) Jobs {
	j, _ := ctx.Value(configKey{}).(Jobs)
	return j
}

// or returns j with the fields of other where its own are zero.
func (j Jobs) or(other Jobs) Jobs {
	if j.Executor == nil && j.Backend == "" { // two names for one thing
		j.Executor, j.Backend = other.Executor, other.Backend
	}
	if j.OnError.kind == stopAtFirst {
		j.OnError = other.OnError
	}
	if j.Output == nil {
		j.Output = other.Output
	}
	if j.Progress == nil {
		j.Progress = other.Progress
	}
	j.N = either(j.N, other.N)
	j.BatchSize = either(j.BatchSize, other.BatchSize)
	j.PreDispatch = either(j.PreDispatch, other.PreDispatch)
	j.Timeout = either(j.Timeout, other.Timeout)
	j.Verbose = either(j.Verbose, other.Verbose)
	return j
}

func either[T comparable](a, b T) T {
	var zero T
	if a == zero {
		return b
	}
	return a
}

// check returns what is wrong with the fields.
func (j *Jobs) check() error {
	switch {
	case j.Executor != nil && j.Backend != "":
		return fmt.Errorf("parallel: Jobs has a Backend, %q, and an Executor; only one can make the calls", j.Backend)
	case j.BatchSize < 0:
		return fmt.Errorf("parallel: BatchSize is %d; it must be positive, or 0 for automatic", j.BatchSize)
	case j.PreDispatch < PreDispatchAll:
		return fmt.Errorf("parallel: PreDispatch is %d; it must be positive, 0 for 2 x N, or PreDispatchAll", j.PreDispatch)
	case j.Timeout < 0:
		return fmt.Errorf("parallel: Timeout is %v; it must be positive, or 0 for none", j.Timeout)
	case j.Verbose < 0:
		return fmt.Errorf("parallel: Verbose is %d; it must be positive, or 0 for silence", j.Verbose)
	}
	return nil
}

var errNilContext = errors.New("parallel: nil Context")

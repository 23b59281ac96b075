package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"

	"github.com/gofutures/futures/executor"
	"github.com/gofutures/futures/parallel"
)

// cached returns the lever that parses what is new or has changed, and finds the
// reports of all else in the folder dir. What the parser says is up to the Go that
// this program was built with, so that is part of the version.
func cached(dir string) lever {
	memory := &parallel.Memory{Dir: dir}
	remembered := parallel.Cache(memory, "levers.parse", parseVersion+" "+runtime.Version(), parseState)
	parseAll := jobs("threads", through(remembered))
	return lever{
		name:  "parallel.Cache, threads",
		cache: memory,
		run: func(ctx context.Context, files []string) reports {
			return func(yield func(Report, error) bool) {
				defer memory.Sync() // a report that is not safe is not done
				parseAll(ctx, files)(yield)
			}
		},
	}
}

// through returns a function that does what parse does, by asking remembered. A
// file without a state is not there, and parse says so each time anew.
func through(remembered executor.Func[fileState, Report]) executor.Func[string, Report] {
	return func(ctx context.Context, path string) (Report, error) {
		state, err := stateOf(path)
		if err != nil {
			return parse(ctx, path)
		}
		r, err := remembered(ctx, state)
		if passing, ok := errors.AsType[*passingError](err); ok {
			return passing.report, nil
		}
		return r, err
	}
}

// fileState is what make looks at: a file that has changed has another, and so
// another report. Like make, it does not see a change that leaves both the size and
// the time alone.
type fileState struct {
	Path     string // absolute, or it would be another file's elsewhere
	Size     int64
	Modified time.Time // in UTC, so that it is the same wherever this runs
}

func stateOf(path string) (fileState, error) {
	info, err := os.Stat(path)
	if err != nil {
		return fileState{}, err
	}
	return fileState{path, info.Size(), info.ModTime().UTC()}, nil
}

// parseState is parse for a cache. It fails if the report must not be kept.
func parseState(ctx context.Context, state fileState) (Report, error) {
	r, err := parse(ctx, state.Path)
	if err == nil && !holds(r, state) {
		return Report{}, &passingError{r}
	}
	return r, err
}

// holds reports whether r is the report of that state, now and later: the file was
// read, and has not changed meanwhile.
func holds(r Report, state fileState) bool {
	now, err := stateOf(state.Path)
	wasRead := r.Failure.Kind == "" || r.Failure.Kind == doesNotParse
	return wasRead && err == nil && now == state
}

// passingError has a report that may be another the next time. It is an error
// because a cache keeps none.
type passingError struct{ report Report }

func (e *passingError) Error() string {
	return fmt.Sprintf("the report of %s may be another the next time", e.report.Path)
}

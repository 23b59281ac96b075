package parallel

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/gofutures/futures/executor"
)

// backends are what can make calls, by name.
var backends = struct {
	sync.Mutex
	open map[string]openFunc
}{open: map[string]openFunc{
	"sequential":      openSequential,
	"threads":         openThreads,
	"threading":       openThreads,
	"processes":       openProcesses,
	"loky":            openProcesses,
	"multiprocessing": openProcesses,
}}

// openFunc returns what makes n calls at once, on a level.
type openFunc func(n int, l level) (executor.Executor, error)

func openSequential(int, level) (executor.Executor, error) { return &executor.Sequential{}, nil }

func openThreads(n int, _ level) (executor.Executor, error) {
	return &executor.ThreadPoolExecutor{MaxWorkers: n, Name: "parallel", KeepPlaces: true}, nil
}

func openProcesses(n int, l level) (executor.Executor, error) {
	return &executor.ProcessPoolExecutor{MaxWorkers: n, Name: "parallel", Env: l.environment(n)}, nil
}

// RegisterBackend gives a name to a way to make calls, for Jobs.Backend:
// joblib.register_parallel_backend. open returns an executor that makes n calls at
// once; it is called for each run, at the end of which the executor is closed if
// it has a method Close() error. RegisterBackend is called in an init function, and
// panics if the name is empty or taken, or open is nil.
func RegisterBackend(name string, open func(n int) (executor.Executor, error)) {
	if name == "" || open == nil {
		panic("parallel: RegisterBackend: empty name or nil function")
	}
	backends.Lock()
	defer backends.Unlock()
	if backends.open[name] != nil {
		panic(fmt.Sprintf("parallel: RegisterBackend: %q is registered already", name))
	}
	backends.open[name] = func(n int, _ level) (executor.Executor, error) { return open(n) }
}

// opener returns the function that opens the backend of that name.
func opener(name string) (openFunc, error) {
	backends.Lock()
	defer backends.Unlock()
	if open := backends.open[name]; open != nil {
		return open, nil
	}
	names := slices.Sorted(maps.Keys(backends.open))
	return nil, fmt.Errorf("parallel: there is no backend %q; there are %s", name, strings.Join(names, ", "))
}

// openBackend opens the backend of that name, and returns how to close it.
func openBackend(name string, n int, l level) (executor.Executor, func(), error) {
	open, err := opener(name)
	if err != nil {
		return nil, nil, err
	}
	ex, err := open(n, l)
	if err != nil {
		return nil, nil, fmt.Errorf("parallel: open the backend %q: %w", name, err)
	}
	if ex == nil {
		return nil, nil, fmt.Errorf("parallel: the backend %q has no executor", name)
	}
	if c, ok := ex.(io.Closer); ok {
		return ex, func() { _ = c.Close() }, nil
	}
	return ex, func() {}, nil
}

// isHere reports whether ex makes calls in this process, where they need not be
// sent by the function's name.
func isHere(ex executor.Executor) bool {
	switch ex.(type) {
	case *executor.ThreadPoolExecutor, *executor.ThreadPerTask, *executor.Sequential:
		return true
	}
	return false
}

// backendName is what the line of a run's beginning calls what makes its calls, where
// joblib has the name of a class: by the name of the backend that it is, or of its type.
func backendName(ex executor.Executor) string {
	switch ex.(type) {
	case *executor.ThreadPoolExecutor:
		return "threads"
	case *executor.ProcessPoolExecutor:
		return "processes"
	case *executor.Sequential:
		return "sequential"
	}
	_, name, _ := strings.Cut(fmt.Sprintf("%T", ex), ".")
	return name
}

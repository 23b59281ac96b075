package parallel

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// CPUCount returns how many CPUs the program may use: joblib.cpu_count. It is
// GOMAXPROCS, which minds a container's quota and the affinity of the process.
func CPUCount() int { return runtime.GOMAXPROCS(0) }

// EffectiveJobs returns how many calls are made at once for n:
// joblib.effective_n_jobs. It is n if that is positive, all CPUs for -1, all but
// one for -2 and so on, but at least 1. 0 is an error.
func EffectiveJobs(n int) (int, error) { return level{cpus: CPUCount()}.effective(n) }

// level is what a Parallel may use where it is called.
type level struct {
	cpus     int
	isNested bool // inside a Parallel: cpus is all there is
}

type levelKey struct{}

// levelOf returns the level of what is called with ctx.
func levelOf(ctx context.Context) level {
	if l, ok := ctx.Value(levelKey{}).(level); ok {
		return l
	}
	return level{cpus: CPUCount(), isNested: isNestedProcess}
}

// nestedMark is a variable in the environment of worker processes that a Parallel
// has started.
const nestedMark = "FUTURES_PARALLEL_NESTED"

var isNestedProcess = os.Getenv(nestedMark) != ""

// effective returns how many calls n makes at once on this level.
func (l level) effective(n int) (int, error) {
	switch {
	case n == 0:
		return 0, errors.New("parallel: n is 0, which has no meaning; 1 makes one call after another, -1 uses all CPUs")
	case n < 0:
		return max(l.cpus+1+n, 1), nil
	case l.isNested:
		return min(n, l.cpus), nil
	}
	return n, nil
}

// inside returns the level inside the calls of a Parallel that makes n at once.
func (l level) inside(n int) level {
	return level{cpus: max(1, l.cpus/n), isNested: true}
}

// enter returns the ctx for the calls of a Parallel that makes n at once. One after
// another, they may use all that it may.
func (l level) enter(ctx context.Context, n int) context.Context {
	if n == 1 {
		return ctx
	}
	return context.WithValue(context.WithValue(ctx, configKey{}, Jobs{}), levelKey{}, l.inside(n))
}

// environment returns that of worker processes for a Parallel that makes n calls at
// once.
func (l level) environment(n int) []string {
	own := slices.DeleteFunc(os.Environ(), func(entry string) bool { // the runtime takes the first of two
		return strings.HasPrefix(entry, "GOMAXPROCS=") || strings.HasPrefix(entry, nestedMark+"=")
	})
	return append(own, fmt.Sprintf("GOMAXPROCS=%d", l.inside(n).cpus), nestedMark+"="+strconv.Itoa(n))
}

package executortest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Option is an option of [New]. Calls are numbered from 1, in the order in
// which they are submitted. A later option for the same call replaces an
// earlier one, but Delay goes with Fail and with Cancel.
type Option func(*options)

type options struct {
	seed   uint64
	faults map[int]fault
	errs   []error
}

// fault is what happens to a call.
type fault struct {
	delay  time.Duration
	err    error // "fails"
	cancel bool
}

// Seed makes [New] draw the same order again, if the calls are submitted again
// as they were. Without it, each New has another seed.
func Seed(seed uint64) Option {
	return func(o *options) { o.seed = seed }
}

// Fail makes the n-th call fail with err when its turn has come. Its function is
// not called.
func Fail(n int, err error) Option {
	return func(o *options) {
		if err == nil {
			o.errs = append(o.errs, fmt.Errorf("Fail(%d, nil): the error must not be nil", n))
		}
		o.change("Fail", n, func(f *fault) { f.err, f.cancel = err, false })
	}
}

// Delay keeps the n-th call from starting before d has passed since it was
// submitted. Other calls may start meanwhile.
func Delay(n int, d time.Duration) Option {
	return func(o *options) {
		if d < 0 {
			o.errs = append(o.errs, fmt.Errorf("Delay(%d, %v): the delay must not be negative", n, d))
		}
		o.change("Delay", n, func(f *fault) { f.delay = d })
	}
}

// Cancel cancels the n-th call when its turn has come, as if somebody had called
// Cancel on its future just before it started.
func Cancel(n int) Option {
	return func(o *options) { o.change("Cancel", n, func(f *fault) { f.cancel, f.err = true, nil }) }
}

// change changes what happens to call n.
func (o *options) change(name string, n int, change func(*fault)) {
	if n < 1 {
		o.errs = append(o.errs, fmt.Errorf("%s of call %d: calls are numbered from 1", name, n))
	}
	f := o.faults[n]
	change(&f)
	o.faults[n] = f
}

func newOptions(seed uint64, opts []Option) (options, error) {
	o := options{seed: seed, faults: make(map[int]fault)}
	for _, opt := range opts {
		opt(&o)
	}
	return o, errors.Join(o.errs...)
}

// String returns the options as they are written in a test.
func (o options) String() string {
	out := []string{fmt.Sprintf("Seed(%#x)", o.seed)}
	for _, n := range slices.Sorted(maps.Keys(o.faults)) {
		f := o.faults[n]
		if f.delay > 0 {
			out = append(out, fmt.Sprintf("Delay(%d, %v)", n, f.delay))
		}
		if f.err != nil {
			out = append(out, fmt.Sprintf("Fail(%d, %q)", n, f.err))
		}
		if f.cancel {
			out = append(out, fmt.Sprintf("Cancel(%d)", n))
		}
	}
	return strings.Join(out, ", ")
}

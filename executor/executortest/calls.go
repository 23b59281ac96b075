package executortest

import (
	"context"
	"errors"
	"io"
	"os"
	"runtime"
)

// The functions that the kit submits. They are registered, so that they may run
// in another process, and share no memory with the test: what there is to tell
// goes through files.

// echo returns its argument.
func echo(_ context.Context, n int) (int, error) { return n, nil }

// fail fails with an error of this text.
func fail(_ context.Context, text string) (int, error) { return 0, errors.New(text) }

// timeOut returns what a function returns that has met a deadline of its own.
func timeOut(context.Context, int) (int, error) { return 0, context.DeadlineExceeded }

// panicText panics with a string.
func panicText(_ context.Context, text string) (int, error) { panic(text) }

// panicError panics with io.ErrUnexpectedEOF, which keeps its identity
// everywhere.
func panicError(context.Context, int) (int, error) { panic(io.ErrUnexpectedEOF) }

// panicNil panics with nil.
func panicNil(context.Context, int) (int, error) { panic(nil) }

// endGoroutine ends the goroutine that it runs on.
func endGoroutine(context.Context, int) (int, error) {
	runtime.Goexit()
	return 0, nil
}

// lookout is what lookFor looks for, and how often.
type lookout struct {
	Path  string
	Polls int
}

// lookFor reports whether a file has come to be before it gave up.
func lookFor(ctx context.Context, l lookout) (bool, error) {
	for range l.Polls {
		if exists(l.Path) {
			return true, nil
		}
		if !pause(ctx) {
			return false, context.Cause(ctx)
		}
	}
	return exists(l.Path), nil
}

// job is what work and linger do.
type job struct {
	Name string // of the call, in the log
	Log  string // a file to which it writes a line when it starts, and one when it ends
	Gate string // a file that it waits for; "": it does not wait
}

// work writes to the log that it starts, waits for its gate or the end of ctx,
// and writes that it ends. It returns "done", or the cause that ended ctx.
func work(ctx context.Context, j job) (string, error) {
	if err := appendLine(j.Log, "start "+j.Name); err != nil {
		return "", err
	}
	outcome := "done"
	for j.Gate != "" && !exists(j.Gate) {
		if !pause(ctx) {
			outcome = context.Cause(ctx).Error()
			break
		}
	}
	return outcome, appendLine(j.Log, "end "+j.Name)
}

// linger is work that does not stop when it is asked to: when ctx ends, it
// writes "asked" to the log, and goes on until its gate is open.
func linger(ctx context.Context, j job) (string, error) {
	if err := appendLine(j.Log, "start "+j.Name); err != nil {
		return "", err
	}
	for pause(ctx) && !exists(j.Gate) {
	}
	if ctx.Err() != nil {
		if err := appendLine(j.Log, "asked "+j.Name); err != nil {
			return "", err
		}
	}
	forever := context.WithoutCancel(ctx)
	for !exists(j.Gate) {
		pause(forever)
	}
	return "lingered", appendLine(j.Log, "end "+j.Name)
}

// parcel is an argument and a result that the garbage collector can be asked
// about.
type parcel struct{ Content []byte }

// weigh returns another parcel of the same size.
func weigh(_ context.Context, p *parcel) (*parcel, error) {
	return &parcel{Content: make([]byte, len(p.Content))}, nil
}

// outcome fails in all ways there are: it returns n if n is a multiple of 4,
// and else fails, panics or ends its goroutine.
func outcome(ctx context.Context, n int) (int, error) {
	switch n % 4 {
	case 1:
		return fail(ctx, "failed on purpose")
	case 2:
		return panicText(ctx, "panicked on purpose")
	case 3:
		return endGoroutine(ctx, n)
	}
	return n, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// appendLine writes a line with one write, so that those of several calls do
// not mix.
func appendLine(path, line string) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(line + "\n")
	return errors.Join(err, f.Close())
}

package executor_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gofutures/futures/executor"
	"github.com/gofutures/futures/executor/executortest"
)

func init() {
	executor.Register(errFail)
	executor.Register(errPanic)
	executor.RegisterError("futures.test/sold out", errSoldOut)
}

var (
	errSoldOut = errors.New("sold out")
	errPrivate = errors.New("nobody has registered this")
)

// codeError is an error with a type of its own.
type codeError struct{ Code int }

func (e *codeError) Error() string { return fmt.Sprintf("code %d", e.Code) }

// textError is one without a pointer.
type textError string

func (e textError) Error() string { return "text " + string(e) }

// likeError has an Is of its own.
type likeError struct{}

func (likeError) Error() string        { return "like sold out" }
func (likeError) Is(target error) bool { return target == errSoldOut }

// rudeError panics whatever it is asked.
type rudeError struct{}

func (rudeError) Error() string { panic("a panic of Error") }
func (rudeError) Is(error) bool { panic("a panic of Is") }

// sliceError cannot be compared.
type sliceError []string

func (e sliceError) Error() string { return strings.Join(e, ", ") }

// remoteErrors are the errors that errFail returns, by name.
var remoteErrors = map[string]func(context.Context) error{
	"sentinel":          func(context.Context) error { return errSoldOut },
	"wrapped":           func(context.Context) error { return fmt.Errorf("order 7: %w", errSoldOut) },
	"wrapped twice":     func(context.Context) error { return fmt.Errorf("a: %w", fmt.Errorf("b: %w", io.ErrUnexpectedEOF)) },
	"wrapped two":       func(context.Context) error { return fmt.Errorf("%w and %w", errSoldOut, io.EOF) },
	"joined":            func(context.Context) error { return errors.Join(errSoldOut, errPrivate, fs.ErrExist) },
	"not registered":    func(context.Context) error { return errPrivate },
	"custom":            func(context.Context) error { return &codeError{42} },
	"custom value":      func(context.Context) error { return textError("value") },
	"wrapped custom":    func(context.Context) error { return fmt.Errorf("it failed: %w", &codeError{42}) },
	"nil pointer":       func(context.Context) error { var e *codeError; return e },
	"nil PathError":     func(context.Context) error { var e *fs.PathError; return e },
	"like":              func(context.Context) error { return likeError{} },
	"not comparable":    func(context.Context) error { return sliceError{"a", "b"} },
	"rude":              func(context.Context) error { return rudeError{} },
	"wrapped rude":      func(context.Context) error { return &fs.PathError{Op: "open", Path: "x", Err: rudeError{}} },
	"path":              func(context.Context) error { _, err := os.Open("/no/such/file"); return err },
	"permission":        func(context.Context) error { return fmt.Errorf("config: %w", fs.ErrPermission) },
	"EOF":               func(context.Context) error { return io.EOF },
	"canceled":          func(context.Context) error { return context.Canceled },
	"deadline":          func(context.Context) error { return fmt.Errorf("too slow: %w", context.DeadlineExceeded) },
	"ErrCancelled":      func(context.Context) error { return executor.ErrCancelled },
	"ErrShutdown":       func(context.Context) error { return executor.ErrShutdown },
	"ErrGoexit":         func(context.Context) error { return executor.ErrGoexit },
	"wrapped ErrGoexit": func(context.Context) error { return fmt.Errorf("child: %w", executor.ErrGoexit) },
	"unsupported":       func(context.Context) error { return errors.ErrUnsupported },
	"own timeout": func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, time.Nanosecond)
		defer cancel()
		<-ctx.Done()
		return ctx.Err()
	},
	"a panic as an error": func(context.Context) error {
		return &executor.PanicError{Value: errSoldOut, Stack: []byte("stack of a child")}
	},
	"empty text": func(context.Context) error { return errors.New("") },
	"no UTF-8":   func(context.Context) error { return errors.New("\xff\xfe\x00") },
	"10 MB":      func(context.Context) error { return fmt.Errorf("%s: %w", strings.Repeat("long ", 2<<20), errSoldOut) },
}

// errFail fails with one of remoteErrors.
func errFail(ctx context.Context, name string) (int, error) { return 1, remoteErrors[name](ctx) }

// The table says what is left of an error that has crossed. What an error in
// this process matches, it matches there, if it is a sentinel that is
// registered, or one of context, io, fs and this package.
func TestErrorsKeepTheirIdentityAcrossProcesses(t *testing.T) {
	sentinels := map[string]error{
		"sold out": errSoldOut, "EOF": io.EOF, "UnexpectedEOF": io.ErrUnexpectedEOF, "ErrExist": fs.ErrExist, "ErrNotExist": fs.ErrNotExist,
		"ErrPermission": fs.ErrPermission, "Canceled": context.Canceled, "DeadlineExceeded": context.DeadlineExceeded, "ErrUnsupported": errors.ErrUnsupported,
		"ErrCancelled": executor.ErrCancelled, "ErrShutdown": executor.ErrShutdown, "ErrGoexit": executor.ErrGoexit, "ErrPending": executor.ErrPending, "ErrBroken": executor.ErrBroken,
	}
	processes := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1})
	pid := pidOf(t, processes)
	for name, make := range remoteErrors {
		t.Run(name, func(t *testing.T) {
			_, err := endOf(t, executor.Submit(t.Context(), processes, errFail, name))
			if err == nil {
				t.Fatal("Result has no error")
			}
			original := make(t.Context())
			is := func(err error) (list []string) {
				for name, s := range sentinels {
					if matchesSafely(err, s) {
						list = append(list, name)
					}
				}
				slices.Sort(list)
				return list
			}
			if got, want := is(err), is(original); !slices.Equal(got, want) {
				t.Errorf("the error that has crossed matches %v; want %v", got, want)
			}
			if name == "a panic as an error" || name == "ErrGoexit" {
				return // they are what they were
			}
			remote, ok := errors.AsType[*executor.RemoteError](err)
			if !ok {
				t.Fatalf("the error is a %T; want a *RemoteError", err)
			}
			if want := fmt.Sprintf("%T", original); remote.Type != want {
				t.Errorf("Type = %q; want %q", remote.Type, want)
			}
			if text, ok := textSafely(original); ok && err.Error() != text {
				t.Errorf("the text of the error is\n%.200q; want\n%.200q", err.Error(), text)
			} else if !ok && !strings.Contains(err.Error(), "Error method panicked") && !strings.Contains(err.Error(), "PANIC=") {
				t.Errorf("the text of an error whose Error panics is %.200q; want that it says so", err.Error())
			}
			if remote.Message != err.Error() {
				t.Errorf("Message = %.200q; want the text of the error, %.200q", remote.Message, err.Error())
			}
			if stack := string(remote.Stack); !strings.Contains(stack, "executor_test.errFail") || !strings.Contains(stack, "process_error_test.go:") {
				t.Errorf("Stack = %q; want the name of the function that failed, and its file and line", stack)
			}
		})
	}
	if after := pidOf(t, processes); after != pid {
		t.Errorf("the worker was %d and is %d after errors of all kinds; want the same", pid, after)
	}
}

func matchesSafely(err, sentinel error) (is bool) {
	defer func() { _ = recover() }()
	return errors.Is(err, sentinel)
}

func textSafely(err error) (text string, ok bool) {
	defer func() { _ = recover() }()
	text = err.Error()
	return text, true
}

// In a chunk and in MapSlice an error is the same as alone.
func TestErrorsKeepTheirIdentityInChunks(t *testing.T) {
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 2})
	names := []string{"path", "wrapped", "EOF", "custom", "deadline"}
	var got []error
	for _, err := range executor.Map(t.Context(), ex, errFail, slices.Values(names), executor.ChunkSize(len(names))) {
		got = append(got, err)
	}
	for i, want := range []error{fs.ErrNotExist, errSoldOut, io.EOF, nil, context.DeadlineExceeded} {
		if i >= len(got) || got[i] == nil || want != nil && !errors.Is(got[i], want) {
			t.Fatalf("Map over %v in one chunk has the errors %v; want that number %d matches %v", names, got, i, want)
		}
	}
	if _, err := executor.MapSlice(t.Context(), ex, errFail, names); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("MapSlice over %v: %v; want the error of index 0, which matches ErrNotExist", names, err)
	}
}

// CPython asks for the same in test_broken_process_pool_traceback.
func TestRemoteErrorIsTheSameEachTime(t *testing.T) {
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1})
	f := executor.Submit(t.Context(), ex, errFail, "wrapped")
	_, first := endOf(t, f)
	text := fmt.Sprintf("%+v", first)
	for range 100 {
		if _, err := f.Result(t.Context()); err != first || fmt.Sprintf("%+v", err) != text {
			t.Fatalf("Result = %+v; want the error of the first time, %s", err, text)
		}
	}
}

// remotePanics are the ways in which errPanic does not return. The function
// that panics with a value has the name errPanic in its stack.
var remotePanics = map[string]func(){
	"string":       func() { panic("oh") },
	"empty string": func() { panic("") },
	"int":          func() { panic(7) },
	"struct":       func() { panic(struct{ A, B int }{1, 2}) },
	"sentinel":     func() { panic(errSoldOut) },
	"wrapped":      func() { panic(fmt.Errorf("order 7: %w", io.EOF)) },
	"custom":       func() { panic(&codeError{42}) },
	"nil":          func() { panic(nil) },
	//lint:ignore SA5000 it is to panic
	"runtime error":   func() { var m map[string]int; m["x"] = 1 },
	"index":           func() { s := []int{}; _ = s[7+len(s)] },
	"rude":            func() { panic(rudeError{}) },
	"rude Stringer":   func() { panic(rudeStringer{}) },
	"in a defer":      func() { defer func() { panic("second") }() },
	"nested":          func() { defer func() { panic("second") }(); panic("first") },
	"replaced":        func() { defer func() { _ = recover(); panic("third") }(); panic("first") },
	"panic of panics": func() { panic(&executor.PanicError{Value: errSoldOut, Stack: []byte("inner stack")}) },
	"goexit":          runtime.Goexit,
	"goexit in defer": func() { defer runtime.Goexit() },
	"goexit, panic":   func() { defer func() { panic("after Goexit") }(); runtime.Goexit() },
	"panic, goexit":   func() { defer runtime.Goexit(); panic("before Goexit") },
	"recovered":       func() { defer func() { _ = recover() }(); panic("never seen") },
	"locked thread":   runtime.LockOSThread,
	"locked, goexit":  func() { runtime.LockOSThread(); runtime.Goexit() },
}

type rudeStringer struct{}

func (rudeStringer) String() string { panic("a panic of String") }

func errPanic(_ context.Context, how string) (string, error) {
	remotePanics[how]()
	return "returned", nil
}

// What comes of a call that does not return is the same on a process as in this
// one.
func TestPanicsAreTheSameOnProcesses(t *testing.T) {
	processes := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1})
	threads := &executor.ThreadPoolExecutor{MaxWorkers: 1}
	defer threads.Close()
	pid := pidOf(t, processes)
	for how := range remotePanics {
		t.Run(how, func(t *testing.T) {
			s, err := endOf(t, executor.Submit(t.Context(), processes, errPanic, how))
			wantS, wantErr := endOf(t, executor.Submit(t.Context(), threads, errPanic, how))
			want, isPanic := errors.AsType[*executor.PanicError](wantErr)
			if !isPanic {
				if s != wantS || !errors.Is(err, wantErr) {
					t.Errorf("Result = %q, %v; want %q, %v as on goroutines", s, err, wantS, wantErr)
				}
				return
			}
			got, ok := err.(*executor.PanicError)
			if !ok {
				t.Fatalf("Result = %q, %v (%T); want a *PanicError as on goroutines", s, err, err)
			}
			if g, w := fmt.Sprint(got.Value), fmt.Sprint(want.Value); g != w && !strings.Contains(w, "PANIC=") {
				t.Errorf("Value = %q; want what prints as on goroutines, %q", g, w)
			}
			for _, s := range []error{errSoldOut, io.EOF} {
				if g, w := matchesSafely(err, s), matchesSafely(wantErr, s); g != w {
					t.Errorf("errors.Is(err, %q) = %t; want %t as on goroutines", s, g, w)
				}
			}
			if _, wantError := want.Value.(error); wantError != (got.Unwrap() != nil) {
				t.Errorf("Unwrap = %v; want an error: %t, as on goroutines", got.Unwrap(), wantError)
			}
			if !strings.Contains(string(got.Stack), "executor_test.errPanic") {
				t.Errorf("Stack does not name errPanic:\n%s", got.Stack)
			}
		})
	}
	if after := pidOf(t, processes); after != pid {
		t.Errorf("the worker was %d and is %d after panics of all kinds; want the same", pid, after)
	}
}

// Strings and ints, which most panics have, keep their types. Of an error the
// type's name is left.
func TestValueOfARemotePanic(t *testing.T) {
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1})
	value := func(how string) any {
		_, err := endOf(t, executor.Submit(t.Context(), ex, errPanic, how))
		p, ok := err.(*executor.PanicError)
		if !ok {
			t.Fatalf("a call that panics with %s: %v; want a *PanicError", how, err)
		}
		return p.Value
	}
	for how, want := range map[string]any{"string": "oh", "empty string": "", "int": 7, "struct": "{1 2}"} {
		if got := value(how); got != want {
			t.Errorf("Value of a panic with %s = %#v; want %#v", how, got, want)
		}
	}
	for how, want := range map[string]string{"custom": "*executor_test.codeError", "sentinel": "*errors.errorString"} {
		remote, ok := value(how).(*executor.RemoteError)
		if !ok || remote.Type != want {
			t.Errorf("Value of a panic with %s = %#v; want a *RemoteError with the Type %s", how, value(how), want)
		}
	}
}

// The documentation of PanicError says what panic(nil) is.
func TestRemotePanicWithNilIsAPanicNilError(t *testing.T) {
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1})
	_, err := endOf(t, executor.Submit(t.Context(), ex, errPanic, "nil"))
	if _, ok := errors.AsType[*runtime.PanicNilError](err); !ok {
		t.Errorf("a call that panics with nil, on a process: %T, whose Value is a %T; want a *runtime.PanicNilError, which is what PanicError's documentation says", err, err.(*executor.PanicError).Value)
	}
}

// Package conc tests the same of its pools, under the name "panics do not
// exhaust goroutines".
func TestPanicsExhaustNoWorker(t *testing.T) {
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 2})
	hows := []string{"string", "goexit", "nested", "locked, goexit"}
	var fs []*executor.Future[string]
	for i := range 1000 {
		fs = append(fs, executor.Submit(t.Context(), ex, errPanic, hows[i%len(hows)]))
	}
	for i, f := range fs {
		if s, err := endOf(t, f); err == nil {
			t.Fatalf("Result of call %d, %q = %q, nil; want an error", i, hows[i%len(hows)], s)
		}
	}
	if s := ex.Stats(); s.Failed != 1000 || s.Restarts != 0 || s.Workers > 2 {
		t.Errorf("Stats = %+v after 1000 calls that panic; want 1000 failed, none restarted, at most 2 workers", s)
	}
	wantWorkersAtOnce(t, ex, 2)
}

// wantWorkersAtOnce checks that n calls run at once.
func wantWorkersAtOnce(t *testing.T, ex executor.Executor, n int) {
	t.Helper()
	dir := t.TempDir()
	var fs []*executor.Future[told]
	for i := range n {
		fs = append(fs, do(ex, deed{Verb: "hold", Log: dir + "/log", ID: i, Path: dir + "/gate"}))
	}
	waitUntil(t, fmt.Sprintf("%d calls run at once", n), func() bool { return len(startsIn(t, dir+"/log")) == n })
	touch(t, dir+"/gate")
	for _, f := range fs {
		if _, err := endOf(t, f); err != nil {
			t.Errorf("a call that waits for others: %v", err)
		}
	}
}

const secret = "s3cr3t-of-the-caller"

// secretive is an argument that is nobody else's business.
type secretive struct {
	How   string
	Token string
	Next  *secretive
}

func init() { executor.Register(errSecret) }

func errSecret(ctx context.Context, s secretive) (int, error) {
	switch s.How {
	case "exit":
		os.Exit(3)
	case "hang":
		select {}
	case "panic":
		panic("on purpose")
	case "fail":
		return 0, errors.New("on purpose")
	case "overflow":
		debug.SetMaxStack(1 << 20)
		return endlessly(1), nil
	}
	return len(s.Token), nil
}

// endlessly overflows the stack.
//
//lint:ignore SA5007 that is what it is for
func endlessly(n int) int { return endlessly(n+1) + 1 }

// Neither errors nor logs have the value of an argument.
func TestErrorsAndLogsHaveNoArguments(t *testing.T) {
	executortest.NeedsProcesses(t)
	var printed, logged lockedBuffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&logged, nil)))
	defer slog.SetDefault(before)

	ex := &executor.ProcessPoolExecutor{MaxWorkers: 1, KillGrace: 20 * time.Millisecond, Stdout: &printed, Stderr: &printed}
	defer ex.Close()
	ring := &secretive{Token: secret}
	ring.Next = ring
	futures := map[string]*executor.Future[int]{}
	for _, how := range []string{"exit", "panic", "fail", "overflow"} {
		futures[how] = executor.Submit(t.Context(), ex, errSecret, secretive{How: how, Token: secret})
	}
	futures["cycle"] = executor.Submit(t.Context(), ex, errSecret, secretive{Token: secret, Next: ring})
	for name, f := range futures {
		if _, err := endOf(t, f); err == nil || strings.Contains(fmt.Sprintf("%v %+v %#v", err, err, err), secret) {
			t.Errorf("the error of %s = %+v; want one without the argument", name, err)
		}
	}
	hang := pastDeadline(t, func(ctx context.Context) *executor.Future[int] {
		return executor.Submit(ctx, ex, errSecret, secretive{How: "hang", Token: secret})
	})
	if _, err := endOf(t, hang); err == nil || strings.Contains(fmt.Sprintf("%v %+v", err, err), secret) {
		t.Errorf("the error of a call that was ended = %+v; want one without the argument", err)
	}
	unknown := executor.Submit(t.Context(), ex, errSecretUnknown, secretive{Token: secret})
	if _, err := endOf(t, unknown); err == nil || strings.Contains(fmt.Sprintf("%v %+v", err, err), secret) {
		t.Errorf("the error of a function that is not registered = %+v; want one without the argument", err)
	}
	for s, err := range executor.Map(t.Context(), ex, errSecret, slices.Values([]secretive{{How: "fail", Token: secret}, {How: "exit", Token: secret}}), executor.ChunkSize(2)) {
		if err == nil || strings.Contains(fmt.Sprintf("%v %+v", err, err), secret) {
			t.Errorf("an outcome of a chunk = %v, %+v; want an error without the argument", s, err)
		}
	}
	if err := ex.Close(); err != nil {
		t.Error(err)
	}
	if text := printed.String() + logged.String(); strings.Contains(text, secret) {
		t.Errorf("what the workers printed and what was logged has the argument:\n%s", text)
	}
}

func errSecretUnknown(_ context.Context, s secretive) (int, error) { return len(s.Token), nil }

// lockedBuffer is a buffer that several goroutines write to.
type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

package executor_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/gofutures/futures/executor"
)

// What crosses to worker processes is registered before WorkerMain.
func init() {
	executor.Register(length)
	executor.Register(leave)
	executor.Register(openFile)
	executor.RegisterName("examples.area", area)
	executor.RegisterInitializer(prepare)
	executor.RegisterError("examples.sadness", errSadness)
	executor.Register(sigh)
}

// leave ends its process, with a last word.
func leave(_ context.Context, word string) (int, error) {
	fmt.Fprintln(os.Stderr, word)
	os.Exit(3)
	return 0, nil
}

func openFile(_ context.Context, name string) (int, error) {
	f, err := os.Open(name)
	if err != nil {
		return 0, err
	}
	return 1, f.Close()
}

// rectangle is how a function has two arguments.
type rectangle struct{ Width, Height int }

func area(_ context.Context, r rectangle) (int, error) { return r.Width * r.Height, nil }

func prepare(context.Context) error { return nil }

var errSadness = errors.New("sadness")

func sigh(context.Context, int) (int, error) { return 0, fmt.Errorf("deep %w", errSadness) }

// ExampleProcessPoolExecutor is ExampleThreadPoolExecutor with another
// constructor. In a program, executor.Register(length) is in an init function,
// and executor.WorkerMain() the first line of main.
func ExampleProcessPoolExecutor() {
	ctx := context.Background()
	ex := &executor.ProcessPoolExecutor{MaxWorkers: 2}
	defer ex.Close()

	for n, err := range executor.Map(ctx, ex, length, slices.Values([]string{"elephant", "owl", "gopher"})) {
		fmt.Println(n, err)
	}
	// Output:
	// 8 <nil>
	// 3 <nil>
	// 6 <nil>
}

// The ctx of a call is its time limit, and holds though the function does not
// look at it: its worker is killed, and replaced.
func ExampleProcessPoolExecutor_timeout() {
	ex := &executor.ProcessPoolExecutor{
		MemoryLimit:      256 << 20, // watched on Linux
		MaxTasksPerChild: 1,         // what a call leaves behind meets no other
		KillGrace:        100 * time.Millisecond,
	}
	defer ex.Close()

	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	_, err := executor.Submit(ctx, ex, spin, 0).Result(context.Background())
	fmt.Println(errors.Is(err, context.DeadlineExceeded))
	// Output: true
}

func init() { executor.Register(spin) }

func spin(context.Context, int) (int, error) {
	for n := 0; ; n++ {
	}
}

// A worker is sent a call when it has nothing else to do: one that dies takes a
// single call with it, however short those before and behind it are.
func ExampleProcessPoolExecutor_noPrefetch() {
	ctx := context.Background()
	ex := &executor.ProcessPoolExecutor{MaxWorkers: 1, NoPrefetch: true, Stderr: new(nowhere)}
	defer ex.Close()

	before := executor.Submit(ctx, ex, length, "elephant")
	bad := executor.Submit(ctx, ex, leave, "bye")
	behind := executor.Submit(ctx, ex, length, "owl")

	fmt.Println(before.Result(ctx))
	_, err := bad.Result(ctx)
	_, isDead := errors.AsType[*executor.WorkerDiedError](err)
	fmt.Println(isDead)
	fmt.Println(behind.Result(ctx)) // of the next worker
	// Output:
	// 8 <nil>
	// true
	// 3 <nil>
}

func ExampleProcessPoolExecutor_Close() {
	ex := &executor.ProcessPoolExecutor{}
	f := executor.Submit(context.Background(), ex, length, "owl")

	fmt.Println(ex.Close()) // waits for the call, and for the workers to end
	fmt.Println(f.State())
	// Output:
	// <nil>
	// finished
}

func ExampleProcessPoolExecutor_Shutdown() {
	ex := &executor.ProcessPoolExecutor{MaxWorkers: 1}
	f := executor.Submit(context.Background(), ex, forever, 0)

	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	err := ex.Shutdown(ctx) // the call, if it has started, sees its ctx end
	fmt.Println(err == nil || errors.Is(err, executor.ErrPending))
	_, err = f.Result(context.Background())
	fmt.Println(err != nil)
	// Output:
	// true
	// true
}

func init() { executor.Register(forever) }

func ExampleProcessPoolExecutor_Stats() {
	ctx := context.Background()
	ex := &executor.ProcessPoolExecutor{MaxWorkers: 1, Stderr: new(nowhere)}
	defer ex.Close()

	_, _ = executor.Submit(ctx, ex, leave, "bye").Result(ctx)
	_, _ = executor.Submit(ctx, ex, length, "owl").Result(ctx)
	s := ex.Stats()
	fmt.Println(s.Succeeded, "succeeded,", s.Failed, "failed,", s.Restarts, "worker died")
	// Output: 1 succeeded, 1 failed, 1 worker died
}

type nowhere struct{}

func (*nowhere) Write(b []byte) (int, error) { return len(b), nil }

func ExampleWorkerDiedError() {
	ctx := context.Background()
	ex := &executor.ProcessPoolExecutor{MaxWorkers: 1, Stderr: new(nowhere)}
	defer ex.Close()

	_, err := executor.Submit(ctx, ex, leave, "I had enough").Result(ctx)
	if died, ok := errors.AsType[*executor.WorkerDiedError](err); ok {
		fmt.Println("exit code", died.ExitCode, "after:", died.Stderr)
	}
	n, err := executor.Submit(ctx, ex, length, "owl").Result(ctx) // in another worker
	fmt.Println(n, err)
	// Output:
	// exit code 3 after: I had enough
	// 3 <nil>
}

func ExampleRemoteError() {
	ctx := context.Background()
	ex := &executor.ProcessPoolExecutor{MaxWorkers: 1}
	defer ex.Close()

	_, err := executor.Submit(ctx, ex, openFile, "no such file").Result(ctx)
	fmt.Println(err)
	fmt.Println(errors.Is(err, fs.ErrNotExist))
	if remote, ok := errors.AsType[*executor.RemoteError](err); ok {
		fmt.Println("was a", remote.Type)
	}
	// Output:
	// open no such file: no such file or directory
	// true
	// was a *fs.PathError
}

// A function is registered once. What cannot cross says why.
func ExampleRegister() {
	ctx := context.Background()
	ex := &executor.ProcessPoolExecutor{MaxWorkers: 1}
	defer ex.Close()

	fmt.Println(executor.Submit(ctx, ex, length, "gopher").Result(ctx))
	_, err := executor.Submit(ctx, ex, func(context.Context, int) (int, error) { return 1, nil }, 0).Result(ctx)
	fmt.Println(errors.Is(err, executor.ErrNotRegistered))
	// Output:
	// 6 <nil>
	// true
}

func ExampleRegisterName() {
	ctx := context.Background()
	ex := &executor.ProcessPoolExecutor{MaxWorkers: 1}
	defer ex.Close()

	fmt.Println(executor.Submit(ctx, ex, area, rectangle{Width: 6, Height: 7}).Result(ctx))
	// Output: 42 <nil>
}

func ExampleRegisterInitializer() {
	ctx := context.Background()
	ex := &executor.ProcessPoolExecutor{MaxWorkers: 1, Initializer: prepare}
	defer ex.Close()

	fmt.Println(executor.Submit(ctx, ex, length, "owl").Result(ctx))
	// Output: 3 <nil>
}

func ExampleRegisterError() {
	ctx := context.Background()
	ex := &executor.ProcessPoolExecutor{MaxWorkers: 1}
	defer ex.Close()

	_, err := executor.Submit(ctx, ex, sigh, 0).Result(ctx)
	fmt.Println(err, errors.Is(err, errSadness))
	// Output: deep sadness true
}

func ExampleWorkerMain() {
	main := func() {
		executor.WorkerMain() // returns at once, except in a worker process
		ex := &executor.ProcessPoolExecutor{}
		defer ex.Close()
		fmt.Println(executor.Submit(context.Background(), ex, length, "owl").Result(context.Background()))
	}
	main()
	// Output: 3 <nil>
}

// elsewhere is an executor that makes each call in another place, of which it
// knows only what can be sent there and back.
type elsewhere struct{}

func (elsewhere) Workers() int { return 0 }

func (elsewhere) Execute(_ context.Context, c *executor.Call) {
	request, err := c.Encode()
	if err != nil {
		c.Reject(err)
		return
	}
	go func() {
		if c.Start() { // else it was cancelled
			c.Complete(executor.Invoke(c.Context(), request)) // there
		}
	}()
}

func ExampleInvoke() {
	ctx := context.Background()
	fmt.Println(executor.Submit(ctx, elsewhere{}, length, "gopher").Result(ctx))
	// Output: 6 <nil>
}

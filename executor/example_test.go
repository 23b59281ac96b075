package executor_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/gofutures/futures/executor"
)

func length(_ context.Context, word string) (int, error) {
	if word == "" {
		return 0, errors.New("empty word")
	}
	return len(word), nil
}

// forever returns when its ctx ends.
func forever(ctx context.Context, _ int) (int, error) {
	<-ctx.Done()
	return 0, context.Cause(ctx)
}

func Example() {
	ctx := context.Background()
	ex := &executor.ThreadPoolExecutor{MaxWorkers: 4} // or ThreadPerTask, or Sequential
	defer ex.Close()

	f := executor.Submit(ctx, ex, length, "gopher")
	n, err := f.Result(ctx)
	fmt.Println(n, err)
	// Output: 6 <nil>
}

func ExampleSubmit() {
	ctx := context.Background()
	ex := &executor.ThreadPoolExecutor{}
	defer ex.Close()

	good := executor.Submit(ctx, ex, length, "owl")
	bad := executor.Submit(ctx, ex, length, "")
	fmt.Println(good.Result(ctx))
	fmt.Println(bad.Result(ctx))
	// Output:
	// 3 <nil>
	// 0 empty word
}

func ExampleGo() {
	ctx := context.Background()
	name := "gopher"

	thread := executor.Go(ctx, &executor.ThreadPerTask{}, func(context.Context) (string, error) {
		return "hello, " + name, nil
	})
	fmt.Println(thread.Result(ctx)) // join
	// Output: hello, gopher <nil>
}

func ExampleMap() {
	ctx := context.Background()
	ex := &executor.ThreadPoolExecutor{MaxWorkers: 4}
	defer ex.Close()

	words := slices.Values([]string{"elephant", "", "owl"})
	for n, err := range executor.Map(ctx, ex, length, words) {
		fmt.Println(n, err)
	}
	// Output:
	// 8 <nil>
	// 0 empty word
	// 3 <nil>
}

// An infinite source: leaving the loop ends what is under way.
func ExampleMap_infinite() {
	naturals := func(yield func(int) bool) {
		for i := 0; yield(i); i++ {
		}
	}
	square := func(_ context.Context, x int) (int, error) { return x * x, nil }

	for y := range executor.Map(context.Background(), &executor.ThreadPerTask{}, square, naturals) {
		if y > 20 {
			break
		}
		fmt.Print(y, " ")
	}
	// Output: 0 1 4 9 16
}

func ExampleUnordered() {
	wait := func(ctx context.Context, d time.Duration) (time.Duration, error) {
		select {
		case <-time.After(d):
			return d, nil
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	in := slices.Values([]time.Duration{time.Hour, time.Millisecond})
	for d := range executor.Map(context.Background(), &executor.ThreadPerTask{}, wait, in, executor.Unordered()) {
		fmt.Println(d, "is over")
		break // ends the ctx of the other call
	}
	// Output: 1ms is over
}

func ExampleChunkSize() {
	ctx := context.Background()
	ex := &executor.ThreadPoolExecutor{}
	defer ex.Close()

	words := slices.Values([]string{"elephant", "", "owl"})
	for n, err := range executor.Map(ctx, ex, length, words, executor.ChunkSize(2)) {
		fmt.Println(n, err) // one call for two words, each with its own outcome
	}
	// Output:
	// 8 <nil>
	// 0 empty word
	// 3 <nil>
}

func ExampleBuffer() {
	ctx := context.Background()
	ex := &executor.ThreadPoolExecutor{MaxWorkers: 2}
	defer ex.Close()

	words := slices.Values([]string{"elephant", "owl"})
	fmt.Println(executor.Collect(executor.Map(ctx, ex, length, words, executor.Buffer(100))))
	// Output: [8 3] <nil>
}

// What waits says that it does, each half second.
func ExampleMeanwhile() {
	ctx := context.Background()
	ex := &executor.ThreadPoolExecutor{}
	defer ex.Close()

	told := make(chan struct{})
	tell := sync.OnceFunc(func() { fmt.Println("still at it"); close(told) })
	slow := func(_ context.Context, n int) (int, error) { <-told; return n * n, nil }
	for square, err := range executor.Map(ctx, ex, slow, slices.Values([]int{3}), executor.Meanwhile(500*time.Millisecond, tell)) {
		fmt.Println(square, err)
	}
	// Output:
	// still at it
	// 9 <nil>
}

func ExampleMapOption() {
	fast := []executor.MapOption{executor.ChunkSize(100), executor.Buffer(1000), executor.Unordered()}
	fmt.Println(len(fast))
	// Output: 3
}

func ExampleCollect() {
	ctx := context.Background()
	ex := &executor.Sequential{}
	fmt.Println(executor.Collect(executor.Map(ctx, ex, length, slices.Values([]string{"elephant", "owl"}))))
	fmt.Println(executor.Collect(executor.Map(ctx, ex, length, slices.Values([]string{"elephant", ""}))))
	// Output:
	// [8 3] <nil>
	// [] empty word
}

func ExampleMapSlice() {
	ctx := context.Background()
	ex := &executor.ThreadPoolExecutor{}
	defer ex.Close()

	fmt.Println(executor.MapSlice(ctx, ex, length, []string{"elephant", "owl", "gopher"}))
	fmt.Println(executor.MapSlice(ctx, ex, length, []string{"elephant", "", "gopher"}))
	// Output:
	// [8 3 6] <nil>
	// [] empty word
}

func ExampleCollectErrors() {
	ctx := context.Background()
	ex := &executor.ThreadPoolExecutor{}
	defer ex.Close()

	lengths, err := executor.MapSlice(ctx, ex, length, []string{"elephant", "", "gopher"}, executor.CollectErrors())
	fmt.Println(lengths, err)
	var failed executor.ItemErrors
	if errors.As(err, &failed) {
		fmt.Println(failed[0].Index)
	}
	// Output:
	// [8 0 6] 1 item failed: item 1: empty word
	// 1
}

func ExampleWait() {
	ctx := context.Background()
	ex := &executor.ThreadPerTask{}
	fast := executor.Submit(ctx, ex, length, "owl")
	slow := executor.Submit(ctx, ex, forever, 0)

	done, pending, err := executor.Wait(ctx, executor.FirstCompleted, fast, slow)
	fmt.Println(len(done), "done,", len(pending), "pending,", err)
	for _, f := range pending {
		f.Cancel()
	}
	// Output: 1 done, 1 pending, <nil>
}

// Futures of different types and executors mix.
func ExampleWaitable() {
	ctx := context.Background()
	number := executor.Submit(ctx, &executor.ThreadPerTask{}, length, "owl")
	text := executor.NewPromise[string]()
	_ = text.Resolve("owl")

	done, _, err := executor.Wait[executor.Waitable](ctx, executor.AllCompleted, number, text.Future())
	fmt.Println(len(done), err)
	// Output: 2 <nil>
}

func ExampleUntil() {
	ctx := context.Background()
	bad := executor.Submit(ctx, &executor.ThreadPerTask{}, length, "")
	slow := executor.Submit(ctx, &executor.ThreadPerTask{}, forever, 0)

	_, pending, _ := executor.Wait(ctx, executor.FirstError, slow, bad)
	fmt.Println(len(pending), "still runs")
	slow.Cancel()
	// Output: 1 still runs
}

func ExampleAsCompleted() {
	ctx := context.Background()
	first, second := executor.NewPromise[string](), executor.NewPromise[string]()
	_ = second.Resolve("came first")
	time.AfterFunc(time.Millisecond, func() { _ = first.Resolve("came last") })

	for i, f := range executor.AsCompleted(ctx, first.Future(), second.Future()) {
		text, err := f.Result(ctx)
		fmt.Println(i, text, err)
	}
	// Output:
	// 1 came first <nil>
	// 0 came last <nil>
}

func ExampleGather() {
	ctx := context.Background()
	ex := &executor.ThreadPerTask{}
	fmt.Println(executor.Gather(ctx, executor.Submit(ctx, ex, length, "owl"), executor.Submit(ctx, ex, length, "gopher")))
	// Output: [3 6] <nil>
}

// A call may wait for anything: it lends its place, so that the call it waits for can start.
func ExampleAwait() {
	ctx := context.Background()
	ex := &executor.ThreadPoolExecutor{MaxWorkers: 1}
	defer ex.Close()
	set := make(chan struct{}) // threading.Event

	greeting := executor.Go(ctx, ex, func(ctx context.Context) (string, error) {
		err := executor.Await(ctx, set) // event.wait()
		return "the event was set", err
	})
	executor.Go(ctx, ex, func(context.Context) (int, error) {
		close(set) // event.set()
		return 0, nil
	})

	fmt.Println(greeting.Result(ctx))
	// Output: the event was set <nil>
}

func ExampleFuture_Result() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	f := executor.Submit(context.Background(), &executor.ThreadPerTask{}, forever, 0)

	_, err := f.Result(ctx)
	fmt.Println(errors.Is(err, executor.ErrPending), errors.Is(err, context.DeadlineExceeded), f.State() == executor.Finished)
	f.Cancel()
	// Output: true true false
}

func ExampleFuture_Done() {
	f := executor.Submit(context.Background(), &executor.ThreadPerTask{}, length, "owl")
	select {
	case <-f.Done():
		fmt.Println(f)
	case <-time.After(time.Hour):
		fmt.Println("an hour later")
	}
	// Output: <Future finished int>
}

func ExampleFuture_Cancel() {
	ctx := context.Background()
	ex := &executor.ThreadPoolExecutor{MaxWorkers: 1}
	defer ex.Close()
	running := executor.Submit(ctx, ex, forever, 0)
	queued := executor.Submit(ctx, ex, length, "owl")

	fmt.Println(queued.Cancel(), queued)
	for running.State() != executor.Running {
		runtime.Gosched()
	}
	fmt.Println(running.Cancel()) // its ctx ends, and it returns
	_, err := running.Result(ctx)
	fmt.Println(err)
	// Output:
	// true <Future cancelled>
	// false
	// executor: call cancelled: context canceled
}

func ExampleFuture_State() {
	p := executor.NewPromise[int]()
	fmt.Println(p.Future().State())
	p.Start()
	fmt.Println(p.Future().State())
	_ = p.Resolve(1)
	fmt.Println(p.Future().State())
	// Output:
	// pending
	// running
	// finished
}

func ExampleFuture_OnDone() {
	p := executor.NewPromise[int]()
	p.Future().OnDone(func(f *executor.Future[int]) { fmt.Println(f) })
	p.Future().Cancel()
	// Output: <Future cancelled>
}

func ExampleFuture_String() {
	p := executor.NewPromise[int]()
	fmt.Println(p.Future())
	_ = p.Reject(&fs.PathError{Op: "open", Path: "main.go", Err: fs.ErrNotExist})
	fmt.Println(p.Future())
	// Output:
	// <Future pending>
	// <Future finished error *fs.PathError>
}

func ExampleFuture() {
	var f *executor.Future[int] = executor.Submit(context.Background(), &executor.Sequential{}, length, "owl")
	fmt.Println(f)
	// Output: <Future finished int>
}

func ExampleNewPromise() {
	p := executor.NewPromise[string]()
	time.AfterFunc(time.Millisecond, func() { _ = p.Resolve("pong") })
	fmt.Println(p.Future().Result(context.Background()))
	// Output: pong <nil>
}

func ExamplePromise() {
	p := executor.NewPromise[int]()
	if p.Start() { // false if somebody has cancelled the future
		_ = p.Resolve(42)
	}
	err := p.Resolve(43)
	fmt.Println(errors.Is(err, executor.ErrInvalidState))
	fmt.Println(p.Future().Result(context.Background()))
	// Output:
	// true
	// 42 <nil>
}

func ExampleThreadPoolExecutor() {
	ex := &executor.ThreadPoolExecutor{
		MaxWorkers:  8,
		Name:        "thumbnails",                                       // in profiles
		QueueLimit:  1000,                                               // Submit blocks beyond it
		Initializer: func(context.Context) error { return nil /* … */ }, // in each worker
	}
	fmt.Println(ex.Workers(), ex.Close())
	// Output: 8 <nil>
}

func ExampleThreadPoolExecutor_Shutdown() {
	ex := &executor.ThreadPoolExecutor{MaxWorkers: 1}
	runs := make(chan struct{})
	f := executor.Go(context.Background(), ex, func(ctx context.Context) (int, error) {
		close(runs)
		return forever(ctx, 0)
	})
	<-runs

	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	_ = ex.Shutdown(ctx) // waits a millisecond, then ends what runs
	_, err := f.Result(context.Background())
	fmt.Println(err)
	// Output: executor: shut down
}

func ExampleThreadPoolExecutor_Close() {
	ctx := context.Background()
	ex := &executor.ThreadPoolExecutor{}
	f := executor.Submit(ctx, ex, length, "owl")
	ex.Close() // waits for it
	fmt.Println(f)
	fmt.Println(executor.Submit(ctx, ex, length, "too late").Result(ctx))
	// Output:
	// <Future finished int>
	// 0 executor: shut down
}

func ExampleThreadPoolExecutor_Stats() {
	ctx := context.Background()
	ex := &executor.ThreadPoolExecutor{}
	executor.Submit(ctx, ex, length, "owl")
	executor.Submit(ctx, ex, length, "")
	ex.Close()
	s := ex.Stats()
	fmt.Println(s.Submitted, s.Succeeded, s.Failed, s.Cancelled)
	// Output: 2 1 1 0
}

func ExampleThreadPerTask() {
	ctx := context.Background()
	ex := &executor.ThreadPerTask{}
	defer ex.Close()
	fmt.Println(executor.MapSlice(ctx, ex, length, []string{"all", "at", "once"}))
	// Output: [3 2 4] <nil>
}

func ExampleSequential() {
	ex := &executor.Sequential{}
	f := executor.Submit(context.Background(), ex, length, "owl")
	fmt.Println(f) // done when Submit returns
	// Output: <Future finished int>
}

func ExamplePanicError() {
	ctx := context.Background()
	f := executor.Go(ctx, &executor.ThreadPerTask{}, func(context.Context) (int, error) {
		panic(io.ErrUnexpectedEOF)
	})
	_, err := f.Result(ctx)
	var panicked *executor.PanicError
	fmt.Println(errors.As(err, &panicked), panicked.Value, errors.Is(err, io.ErrUnexpectedEOF))
	// Output: true unexpected EOF true
}

// logged is an executor made of another: it tells what passes.
type logged struct{ executor.Executor }

func (l logged) Execute(ctx context.Context, c *executor.Call) {
	fmt.Println("a call")
	l.Executor.Execute(ctx, c)
}

func ExampleExecutor() {
	ctx := context.Background()
	ex := logged{&executor.ThreadPerTask{}}
	fmt.Println(executor.Submit(ctx, ex, length, "owl").Result(ctx))
	// Output:
	// a call
	// 3 <nil>
}

// byHand is the smallest executor: it makes each call at once.
type byHand struct{ closed bool }

func (byHand) Workers() int { return 1 }

func (e byHand) Execute(ctx context.Context, c *executor.Call) {
	if e.closed {
		c.Reject(executor.ErrShutdown)
		return
	}
	c.Run(ctx)
}

func ExampleCall() {
	ctx := context.Background()
	fmt.Println(executor.Submit(ctx, byHand{}, length, "owl").Result(ctx))
	fmt.Println(executor.Submit(ctx, byHand{closed: true}, length, "owl").Result(ctx))
	// Output:
	// 3 <nil>
	// 0 executor: shut down
}

// timed is an executor made of another: it tells when calls have ended. What it adds does
// not count as somebody who asks for the result.
type timed struct {
	executor.Executor
	ended chan time.Duration
}

func (e timed) Execute(ctx context.Context, c *executor.Call) {
	begin := time.Now()
	c.OnDone(func() { e.ended <- time.Since(begin) })
	e.Executor.Execute(ctx, c)
}

func ExampleCall_OnDone() {
	ctx := context.Background()
	ex := timed{&executor.ThreadPerTask{}, make(chan time.Duration, 1)}
	executor.Submit(ctx, ex, length, "owl")
	fmt.Println("it has ended in less than a minute:", <-ex.ended < time.Minute)
	// Output: it has ended in less than a minute: true
}

// attentive is an executor made of another: it knows how far its chunks are.
type attentive struct {
	executor.Executor
	calls []*executor.Call
}

func (t *attentive) Execute(ctx context.Context, c *executor.Call) {
	t.calls = append(t.calls, c)
	t.Executor.Execute(ctx, c)
}

// The chunks of a Map go to worker processes, and the loop tells how far they are while it
// waits. Of calls that are no chunk, and in this process, Made returns 0.
func ExampleCall_Made() {
	ctx := context.Background()
	ex := &attentive{Executor: &executor.ThreadPerTask{}} // or a ProcessPoolExecutor
	look := func() {
		for _, c := range ex.calls {
			fmt.Println(c.Made(), "items made")
		}
	}
	words := slices.Values([]string{"owl", "lark", "wren"})
	for n, err := range executor.Map(ctx, ex, length, words, executor.ChunkSize(3), executor.Meanwhile(time.Minute, look)) {
		fmt.Println(n, err)
	}
	// Output:
	// 3 <nil>
	// 4 <nil>
	// 4 <nil>
}

func ExampleEncode() {
	data, err := executor.Encode([]string{"elephant", "owl"})
	if err != nil {
		fmt.Println(err)
		return
	}
	animals, err := executor.Decode[[]string](data)
	fmt.Println(animals, err)

	_, err = executor.Encode(make(chan int))
	fmt.Println(err != nil)
	// Output:
	// [elephant owl] <nil>
	// true
}

// ExampleDecode is given bytes that Encode did not make.
func ExampleDecode() {
	_, err := executor.Decode[[]string]([]byte("rubbish"))
	fmt.Println(err != nil)
	// Output: true
}

// Fork and join: each call waits for two others, and makes them itself.
func ExampleThreadPoolExecutor_waitersHelp() {
	ex := &executor.ThreadPoolExecutor{WaitersHelp: true}
	defer ex.Close()
	var fib executor.Func[int, int]
	fib = func(ctx context.Context, n int) (int, error) {
		if n < 2 {
			return n, nil
		}
		a, b := executor.Submit(ctx, ex, fib, n-1), executor.Submit(ctx, ex, fib, n-2)
		results, err := executor.Gather(ctx, a, b)
		if err != nil {
			return 0, err
		}
		return results[0] + results[1], nil
	}
	fmt.Println(executor.Submit(context.Background(), ex, fib, 12).Result(context.Background()))
	// Output: 144 <nil>
}

// A panic that nobody asks for is logged. This program does that by itself.
func ExampleIgnoreLostPanics() {
	executor.IgnoreLostPanics.Store(true)
	defer executor.IgnoreLostPanics.Store(false)

	ex := &executor.ThreadPerTask{}
	defer ex.Close()
	f := executor.Go(context.Background(), ex, func(context.Context) (int, error) { panic("kaboom") })
	f.OnDone(func(f *executor.Future[int]) {
		var p *executor.PanicError
		if _, err := f.Result(context.Background()); errors.As(err, &p) {
			fmt.Println("a call panicked:", p.Value)
		}
	})
	<-f.Done()
	time.Sleep(time.Millisecond) // OnDone's function has its own goroutine
}

// circular is an error that unwraps to itself.
type circular struct{ error }

func (c circular) Unwrap() error { return c }

func ExampleIs() {
	ctx := context.Background()
	ex := &executor.ThreadPoolExecutor{}
	defer ex.Close()
	_, err := executor.Go(ctx, ex, func(context.Context) (int, error) {
		return 0, circular{io.EOF}
	}).Result(ctx)
	fmt.Println(executor.Is(err, io.EOF)) // errors.Is would not return
	fmt.Println(executor.Is(fmt.Errorf("the end: %w", io.EOF), io.EOF))
	// Output:
	// false
	// true
}

func ExampleDoing() {
	// crawl is a function of a package of one's own, whose callers know nothing of Map.
	crawl := func(ctx context.Context, ex executor.Executor, urls []string) error {
		for _, err := range executor.Map(ctx, ex, length, slices.Values(urls), executor.Doing("crawler: Crawl")) {
			if err != nil {
				return err
			}
		}
		return nil
	}
	fmt.Println(crawl(context.Background(), nil, nil))
	// Output: crawler: Crawl: nil Executor
}

func ExampleEnded() {
	// answer is a function of a package of one's own that waits for a call.
	answer := func(ctx context.Context, ex executor.Executor) (int, error) {
		n, err := executor.Go(ctx, ex, func(ctx context.Context) (int, error) {
			<-ctx.Done()
			return 0, fmt.Errorf("reading line 7: %w", ctx.Err()) // what it was at when it was ended
		}).Result(context.WithoutCancel(ctx))
		return n, executor.Ended(ctx, "oracle: Answer", err)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(errors.New("nobody listens"))
	_, err := answer(ctx, &executor.ThreadPerTask{})
	fmt.Println(err)
	fmt.Println(errors.Is(err, context.Canceled))
	// Output:
	// oracle: Answer: the ctx ended: nobody listens
	// true
}

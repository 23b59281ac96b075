package pool_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gofutures/futures/executor"
	"github.com/gofutures/futures/pool"
)

// What is called in worker processes is registered before WorkerMain.
func init() { executor.Register(length) }

// length does not like empty words.
func length(_ context.Context, word string) (int, error) {
	if word == "" {
		return 0, errors.New("empty word")
	}
	return len(word), nil
}

// until returns when its ctx ends.
func until(ctx context.Context, word string) (int, error) {
	<-ctx.Done()
	return 0, context.Cause(ctx)
}

func Example() {
	ctx := context.Background()
	p := pool.Threads(4) // or Processes(4)
	defer p.Close()

	fmt.Println(pool.Map(ctx, p, length, []string{"elephant", "owl", "gopher"}))
	// Output: [8 3 6] <nil>
}

func ExampleThreads() {
	p := pool.Threads(4)
	defer p.Close()

	fmt.Println(p.Workers())
	// Output: 4
}

// In a program, executor.Register(length) is in an init function, and
// executor.WorkerMain() the first line of main.
func ExampleProcesses() {
	ctx := context.Background()
	p := pool.Processes(2)
	defer p.Close()

	fmt.Println(pool.Map(ctx, p, length, []string{"elephant", "owl", "gopher"}))
	// Output: [8 3 6] <nil>
}

// Pool(initializer=..., maxtasksperchild=10) is an executor with these fields,
// and a pool over it.
func ExampleOver() {
	ctx := context.Background()
	ex := &executor.ProcessPoolExecutor{MaxWorkers: 2, MaxTasksPerChild: 10}
	defer ex.Close()
	p := pool.Over(ex)
	defer p.Close()

	fmt.Println(pool.Map(ctx, p, length, []string{"elephant", "owl", "gopher"}))
	// Output: [8 3 6] <nil>
}

// A pool is an executor, for all of package executor.
func ExamplePool() {
	ctx := context.Background()
	p := pool.Threads(2)
	defer p.Close()

	f := executor.Submit(ctx, p, length, "elephant")
	g := executor.Submit(ctx, p, length, "owl")
	fmt.Println(executor.Gather(ctx, f, g))
	fmt.Println("at most", p.Workers(), "at once")
	// Output:
	// [8 3] <nil>
	// at most 2 at once
}

// Execute is what executor.Submit calls; so does an executor that hands its calls
// on, as this one that counts them.
func ExamplePool_Execute() {
	ctx := context.Background()
	p := pool.Threads(2)
	defer p.Close()

	ex := &counter{Pool: p}
	fmt.Println(executor.Submit(ctx, ex, length, "owl").Result(ctx))
	fmt.Println(ex.calls, "call on", ex.Workers(), "workers")
	// Output:
	// 3 <nil>
	// 1 call on 2 workers
}

type counter struct {
	*pool.Pool
	calls int
}

func (c *counter) Execute(ctx context.Context, call *executor.Call) {
	c.calls++
	c.Pool.Execute(ctx, call)
}

func ExamplePool_Workers() {
	p := pool.Over(&executor.ThreadPerTask{})
	defer p.Close()

	fmt.Println(p.Workers(), "means no limit")
	// Output: 0 means no limit
}

// Map has the error that a loop would have met first, whichever came first.
func ExampleMap() {
	ctx := context.Background()
	p := pool.Threads(4)
	defer p.Close()

	fmt.Println(pool.Map(ctx, p, length, []string{"elephant", "owl", "gopher"}))
	fmt.Println(pool.Map(ctx, p, length, []string{"elephant", "", "gopher"}))
	// Output:
	// [8 3 6] <nil>
	// [] empty word
}

// OnDone is the callback of map_async.
func ExampleMapAsync() {
	ctx := context.Background()
	p := pool.Threads(4)
	defer p.Close()

	printed := make(chan struct{})
	f := pool.MapAsync(ctx, p, length, []string{"elephant", "owl", "gopher"})
	f.OnDone(func(f *executor.Future[[]int]) {
		fmt.Println(f.Result(ctx))
		close(printed)
	})
	<-printed
	// Output: [8 3 6] <nil>
}

func ExampleApply() {
	ctx := context.Background()
	p := pool.Threads(4)
	defer p.Close()

	fmt.Println(pool.Apply(ctx, p, length, "elephant"))
	fmt.Println(pool.Apply(ctx, p, length, ""))
	// Output:
	// 8 <nil>
	// 0 empty word
}

// The ctx of Result is the timeout of get: the call goes on.
func ExampleApplyAsync() {
	ctx := context.Background()
	p := pool.Threads(4)
	defer p.Close()

	ready := make(chan struct{})
	f := pool.ApplyAsync(ctx, p, func(_ context.Context, word string) (string, error) {
		<-ready
		return strings.ToUpper(word), nil
	}, "owl")

	short, cancel := context.WithTimeout(ctx, time.Millisecond)
	defer cancel()
	_, err := f.Result(short)
	fmt.Println(errors.Is(err, executor.ErrPending))

	close(ready)
	fmt.Println(f.Result(ctx))
	// Output:
	// true
	// OWL <nil>
}

// An item that fails has its error, and the iteration goes on.
func ExampleImap() {
	ctx := context.Background()
	p := pool.Threads(4)
	defer p.Close()

	words := slices.Values([]string{"elephant", "", "gopher"})
	for n, err := range pool.Imap(ctx, p, length, words) {
		fmt.Println(n, err)
	}
	// Output:
	// 8 <nil>
	// 0 empty word
	// 6 <nil>
}

// The source may be infinite: leaving the loop ends what is under way.
func ExampleImap_infinite() {
	ctx := context.Background()
	p := pool.Threads(4)
	defer p.Close()

	numbers := func(yield func(int) bool) {
		for i := 1; yield(i); i++ {
		}
	}
	square := func(_ context.Context, n int) (int, error) { return n * n, nil }
	for n, err := range pool.Imap(ctx, p, square, numbers) {
		if err != nil || n > 20 {
			break
		}
		fmt.Println(n)
	}
	// Output:
	// 1
	// 4
	// 9
	// 16
}

func ExampleImapUnordered() {
	ctx := context.Background()
	p := pool.Threads(4)
	defer p.Close()

	sum := 0
	for n, err := range pool.ImapUnordered(ctx, p, length, slices.Values([]string{"elephant", "owl", "gopher"})) {
		if err != nil {
			fmt.Println(err)
			continue
		}
		sum += n
	}
	fmt.Println(sum)
	// Output: 17
}

// Close waits for what is under way; in Python, leaving the with-block does not.
func ExamplePool_Close() {
	ctx := context.Background()
	p := pool.Threads(4)

	f := pool.MapAsync(ctx, p, length, []string{"elephant", "owl", "gopher"})
	fmt.Println(p.Close())
	fmt.Println(f.State())

	_, err := pool.Apply(ctx, p, length, "late")
	fmt.Println(errors.Is(err, executor.ErrShutdown))
	// Output:
	// <nil>
	// finished
	// true
}

// Terminate ends what runs and what has not started.
func ExamplePool_Terminate() {
	ctx := context.Background()
	p := pool.Threads(1)

	running := pool.ApplyAsync(ctx, p, until, "the end")
	queued := pool.ApplyAsync(ctx, p, length, "owl")
	fmt.Println(p.Terminate())

	for _, f := range []*executor.Future[int]{running, queued} {
		_, err := f.Result(ctx)
		fmt.Println(err != nil)
	}
	// Output:
	// <nil>
	// true
	// true
}

// Calls of many small items cost less.
func ExampleChunkSize() {
	ctx := context.Background()
	p := pool.Processes(2)
	defer p.Close()

	words := slices.Repeat([]string{"elephant", "owl"}, 500)
	sum := 0
	for n, err := range pool.Imap(ctx, p, length, slices.Values(words), pool.ChunkSize(100)) {
		if err != nil {
			fmt.Println(err)
			return
		}
		sum += n
	}
	fmt.Println(sum)
	// Output: 5500
}

// With a Buffer of 1, an item is pulled when the result before it was taken.
func ExampleBuffer() {
	ctx := context.Background()
	p := pool.Threads(4)
	defer p.Close()

	source := func(yield func(string) bool) {
		for _, word := range []string{"elephant", "owl"} {
			fmt.Println("read", word)
			if !yield(word) {
				return
			}
		}
	}
	for n := range pool.Imap(ctx, p, length, source, pool.Buffer(1)) {
		fmt.Println(n)
	}
	// Output:
	// read elephant
	// 8
	// read owl
	// 3
}

// The results of the items that have not failed are there too.
func ExampleCollectErrors() {
	ctx := context.Background()
	p := pool.Threads(4)
	defer p.Close()

	lengths, err := pool.Map(ctx, p, length, []string{"elephant", "", "gopher", ""}, pool.CollectErrors())
	fmt.Println(lengths)
	var failed executor.ItemErrors
	if errors.As(err, &failed) {
		for _, item := range failed {
			fmt.Println(item.Index, item.Err)
		}
	}
	// Output:
	// [8 0 6 0]
	// 1 empty word
	// 3 empty word
}

package executor_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/gofutures/futures/executor"
)

func init() {
	executor.Register(triple)
	executor.Register(behave)
	executor.Register(size)
	executor.Register(echo)
}

func triple(_ context.Context, n int) (int, error) { return 3 * n, nil }

func size(_ context.Context, b []byte) (int, error)    { return len(b), nil }
func echo(_ context.Context, b []byte) ([]byte, error) { return b, nil }

var errSad = errors.New("sad")

func init() { executor.RegisterError("sad", errSad) }

// behave does what it is told.
func behave(ctx context.Context, how string) (string, error) {
	switch how {
	case "panic":
		panic("oh")
	case "goexit":
		runtime.Goexit()
	case "exit":
		os.Exit(42)
	case "kill":
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	case "error":
		return "", fmt.Errorf("very %w", errSad)
	case "hang":
		time.Sleep(time.Hour)
	case "wait":
		<-ctx.Done()
		return "", ctx.Err()
	case "overflow":
		return fmt.Sprint(overflow(1)), nil
	}
	return how + "!", nil
}

func overflow(n int) int { return overflow(n+1) + 1 }

func TestProcesses(t *testing.T) {
	ctx := t.Context()
	ex := &executor.ProcessPoolExecutor{MaxWorkers: 2, KillGrace: 100 * time.Millisecond}
	defer ex.Close()
	begin := time.Now()
	if n, err := executor.Submit(ctx, ex, triple, 14).Result(ctx); n != 42 || err != nil {
		t.Fatal(n, err)
	}
	t.Log("first", time.Since(begin))
	for _, how := range []string{"hi", "panic", "goexit", "exit", "kill", "error", "overflow"} {
		s, err := executor.Submit(ctx, ex, behave, how).Result(ctx)
		text := fmt.Sprint(err)
		t.Logf("%s: %q %T %.300s", how, s, err, text)
	}
	for _, how := range []string{"hang", "wait"} {
		c, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
		_, err := executor.Submit(c, ex, behave, how).Result(ctx)
		text := fmt.Sprint(err)
		t.Logf("%s: %T %v %.1200s", how, err, errors.Is(err, context.DeadlineExceeded), text)
		cancel()
	}
	begin = time.Now()
	var fs []*executor.Future[int]
	for i := range 100000 {
		fs = append(fs, executor.Submit(ctx, ex, triple, i))
	}
	for i, f := range fs {
		if n, err := f.Result(ctx); n != 3*i || err != nil {
			t.Fatal(i, n, err)
		}
	}
	t.Log("100000:", time.Since(begin)/100000)
	begin = time.Now()
	for i := range 2000 {
		if n, err := executor.Submit(ctx, ex, triple, i).Result(ctx); n != 3*i || err != nil {
			t.Fatal(i, n, err)
		}
	}
	t.Log("one:", time.Since(begin)/2000)
	in := make([]int, 1000000)
	for i := range in {
		in[i] = i
	}
	begin = time.Now()
	out, err := executor.MapSlice(ctx, ex, triple, in)
	t.Log("mapslice:", time.Since(begin)/1000000, err)
	for i, v := range out {
		if v != 3*i {
			t.Fatal(i, v)
		}
	}
	out, err = executor.Collect(executor.Map(ctx, ex, triple, slices.Values(in[:10000]), executor.ChunkSize(100)))
	t.Log(len(out), err)
	big := make([]byte, 64<<20)
	for range 3 {
		begin = time.Now()
		n, err := executor.Submit(ctx, ex, size, big).Result(ctx)
		t.Log("64 MiB in:", time.Since(begin), n, err)
		begin = time.Now()
		b, err := executor.Submit(ctx, ex, echo, big).Result(ctx)
		t.Log("64 MiB in and out:", time.Since(begin), len(b), err)
	}
	t.Logf("%+v", ex.Stats())
}

package executor_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gofutures/futures/executor"
)

// slogged keeps what slog writes during a test.
type slogged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *slogged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

// lines returns the lines about lost panics.
func (l *slogged) lines() (lines []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.text.String()) {
		if strings.Contains(line, "nobody has asked for its result") {
			lines = append(lines, line)
		}
	}
	return lines
}

func keepLog(t *testing.T) *slogged {
	before := slog.Default()
	t.Cleanup(func() { slog.SetDefault(before) })
	l := new(slogged)
	slog.SetDefault(slog.New(slog.NewTextHandler(l, nil)))
	return l
}

func kaboom(context.Context) (int, error) { panic("kaboom") }

// lose makes a call of fn and drops its future, after look.
//
//go:noinline
func lose(ex executor.Executor, fn func(context.Context) (int, error), look func(*executor.Future[int])) {
	f := executor.Go(context.Background(), ex, fn)
	look(f)
	<-f.Done()
}

// settled waits until what is collected now has been reported.
func settled(t *testing.T) {
	t.Helper()
	for range 3 {
		gone := make(chan struct{})
		dropMarker(gone)
		untilGone(t, "a marker", func() bool {
			select {
			case <-gone:
				return true
			default:
				return false
			}
		})
	}
	time.Sleep(5 * time.Millisecond)
}

//go:noinline
func dropMarker(gone chan struct{}) {
	runtime.AddCleanup(new([64]byte), func(gone chan struct{}) { close(gone) }, gone)
}

func TestAPanicThatNobodyAsksForIsLoggedOnce(t *testing.T) {
	each(t, func(t *testing.T, ex opened) {
		l := keepLog(t)
		lose(ex, kaboom, func(*executor.Future[int]) {})
		untilGone(t, "the future", func() bool { return len(l.lines()) > 0 })
		settled(t)
		lines := l.lines()
		if len(lines) != 1 || !strings.Contains(lines[0], "level=ERROR") || !strings.Contains(lines[0], "panic=kaboom") || !strings.Contains(lines[0], "executor_test.kaboom(") {
			t.Errorf("logged %q; want one error with the value and the stack", lines)
		}
	})
}

func TestAPanicThatSomebodyAsksForIsNotLogged(t *testing.T) {
	ctx := context.Background()
	for name, look := range map[string]func(*executor.Future[int]){
		"Result":      func(f *executor.Future[int]) { f.Result(ctx) },
		"OnDone":      func(f *executor.Future[int]) { f.OnDone(func(*executor.Future[int]) {}) },
		"OnDone late": func(f *executor.Future[int]) { <-f.Done(); f.OnDone(func(*executor.Future[int]) {}) },
		"Wait":        func(f *executor.Future[int]) { executor.Wait(ctx, executor.AllCompleted, f) },
		"Wait late":   func(f *executor.Future[int]) { <-f.Done(); executor.Wait(ctx, executor.AllCompleted, f) },
		"AsCompleted": func(f *executor.Future[int]) {
			for range executor.AsCompleted(ctx, f) {
			}
		},
		"Gather": func(f *executor.Future[int]) { executor.Gather(ctx, f) },
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, ex opened) {
				l := keepLog(t)
				lose(ex, kaboom, look)
				settled(t)
				if lines := l.lines(); len(lines) != 0 {
					t.Errorf("logged %q; want nothing", lines)
				}
			})
		})
	}
}

func TestWhatIsNoLostPanicIsNotLogged(t *testing.T) {
	wrapped := &executor.PanicError{Value: "of another call"}
	for name, fn := range map[string]func(context.Context) (int, error){
		"an error":         func(context.Context) (int, error) { return 0, errors.New("lost") },
		"a returned panic": func(context.Context) (int, error) { return 0, wrapped },
		"Goexit":           func(context.Context) (int, error) { runtime.Goexit(); return 0, nil },
	} {
		t.Run(name, func(t *testing.T) {
			ex := &executor.ThreadPerTask{}
			defer ex.Close()
			l := keepLog(t)
			lose(ex, fn, func(*executor.Future[int]) {})
			settled(t)
			if lines := l.lines(); len(lines) != 0 {
				t.Errorf("logged %q; want nothing", lines)
			}
		})
	}
	t.Run("IgnoreLostPanics", func(t *testing.T) {
		executor.IgnoreLostPanics.Store(true)
		defer executor.IgnoreLostPanics.Store(false)
		ex := &executor.ThreadPerTask{}
		defer ex.Close()
		l := keepLog(t)
		lose(ex, kaboom, func(*executor.Future[int]) {})
		settled(t)
		if lines := l.lines(); len(lines) != 0 {
			t.Errorf("logged %q; want nothing", lines)
		}
	})
}

// The value of a panic may lead to the future of its call.
func TestAPanicWithItsOwnFutureIsLoggedToo(t *testing.T) {
	ex := &executor.ThreadPerTask{}
	defer ex.Close()
	l := keepLog(t)
	lose(ex, func(ctx context.Context) (int, error) { panic(ctx) }, func(*executor.Future[int]) {})
	untilGone(t, "the future", func() bool { return len(l.lines()) > 0 })
}

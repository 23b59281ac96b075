package executor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func init() { Register(lastWord) }

// word says what a worker does before it returns.
type word struct {
	Until string // there is a file of that name
	Takes bool   // a while: so long that its result is written before the next call starts
	Ends  bool   // the process
}

func lastWord(_ context.Context, w word) (int, error) {
	for w.Until != "" {
		if _, err := os.Stat(w.Until); err == nil {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if w.Takes {
		time.Sleep(time.Millisecond)
	}
	if w.Ends {
		os.Exit(0)
	}
	return 7, nil
}

// awaitZombie waits until a child of this process has ended, and is not reaped. It
// returns false as soon as isOff says that the child will not end.
func awaitZombie(t *testing.T, pid int, isOff func() bool) bool {
	t.Helper()
	for end := time.Now().Add(time.Minute); !isOff(); time.Sleep(time.Millisecond) {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if _, state, ok := strings.Cut(string(stat), ") "); ok && strings.HasPrefix(state, "Z") {
			return true
		}
		if err != nil || time.Now().After(end) {
			t.Fatalf("process %d has not ended, or was reaped: %q, %v", pid, stat, err)
		}
	}
	return false
}

// The goroutine that reads from a worker has work with one result when the worker
// writes another, and ends, and for a good while after.
func TestAResultThatWasWrittenCountsHoweverSlowTheParentIs(t *testing.T) {
	needsProcesses(t)
	t.Parallel()
	ex := &ProcessPoolExecutor{MaxWorkers: 1, Stderr: io.Discard}
	defer ex.Close()
	for {
		for range 20 { // so that it is known to take little, and is sent ahead
			if _, err := Submit(t.Context(), ex, lastWord, word{}).Result(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		file := filepath.Join(t.TempDir(), "go on")
		first := Submit(t.Context(), ex, lastWord, word{Until: file})
		last := Submit(t.Context(), ex, lastWord, word{Takes: true})
		end := Submit(t.Context(), ex, lastWord, word{Ends: true})
		hasEnded := endBeforeItIsRead(t, ex.inside(), file)
		for _, f := range []*Future[int]{first, last} {
			if v, err := f.Result(t.Context()); v != 7 || err != nil {
				t.Fatalf("Result = %d, %v; want 7, nil", v, err)
			}
		}
		if _, err := end.Result(t.Context()); !errors.As(err, new(*WorkerDiedError)) {
			t.Fatalf("the call that ends its process: %v; want a *WorkerDiedError", err)
		}
		if hasEnded {
			return
		}
	}
}

// endBeforeItIsRead lets the first of three calls go on, and holds up the goroutine that
// reads its result until the worker has ended. It returns false if a call was not sent ahead,
// or was taken back because the worker was silent for a while: what waits here is sent by
// that goroutine only.
func endBeforeItIsRead(t *testing.T, in *processPool, file string) bool {
	workers := in.theWorkers()
	in.tracker.mu.Lock() // which the goroutine needs to end the first call
	defer in.tracker.mu.Unlock()
	pid := workers.Inventory().PIDs[0]
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if !awaitZombie(t, pid, func() bool { return workers.Inventory().Waiting > 0 }) {
		return false
	}
	time.Sleep(300 * time.Millisecond)
	return true
}

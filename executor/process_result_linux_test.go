package executor

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func init() { Register(lastWord) }

// word says what a worker does before it returns.
type word struct {
	Until string // there is a file of that name
	Ends  bool   // the process, a while after the call
}

func lastWord(_ context.Context, w word) (int, error) {
	for w.Until != "" {
		if _, err := os.Stat(w.Until); err == nil {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if w.Ends {
		time.AfterFunc(20*time.Millisecond, func() { os.Exit(0) })
	}
	return 7, nil
}

// The goroutine that reads from a worker has work with one result when the worker
// writes another, and ends, and for a good while after.
func TestAResultThatWasWrittenCountsHoweverSlowTheParentIs(t *testing.T) {
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
		last := Submit(t.Context(), ex, lastWord, word{Ends: true})
		ex.inside().intake.mu.Lock()
		ch := ex.inside().sup.children[0]
		wasSentAhead := len(ch.jobs) == 2
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if wasSentAhead {
			ch.link.proc.Watch() // returns when it has ended
			time.Sleep(300 * time.Millisecond)
		}
		ex.inside().intake.mu.Unlock()
		for _, f := range []*Future[int]{first, last} {
			if v, err := f.Result(t.Context()); v != 7 || err != nil {
				t.Fatalf("Result = %d, %v; want 7, nil", v, err)
			}
		}
		if wasSentAhead {
			return
		}
	}
}

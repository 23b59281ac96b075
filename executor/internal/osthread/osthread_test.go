package osthread

import (
	"runtime"
	"testing"
)

func isSupported() bool { return runtime.GOARCH == "amd64" || runtime.GOARCH == "arm64" }

// A version of Go in which the field is not found, or found twice, is to be noticed.
func TestTheFieldIsFound(t *testing.T) {
	if got := lockedm() != 0; got != isSupported() {
		t.Errorf("found: %v; want %v", got, isSupported())
	}
}

func TestIsLockedIsExact(t *testing.T) {
	if !isSupported() {
		t.Skip("on this architecture, nobody is found to be locked")
	}
	done := make(chan bool)
	for range 100 {
		go func() {
			defer close(done)
			g := Current()
			want := func(is bool) {
				t.Helper()
				if g.IsLocked() != is {
					t.Errorf("IsLocked() = %v; want %v", !is, is)
				}
			}
			want(false)
			runtime.LockOSThread()
			want(true)
			runtime.LockOSThread()
			runtime.UnlockOSThread()
			runtime.Gosched()
			want(true)
			runtime.UnlockOSThread()
			want(false)
		}()
		<-done
		done = make(chan bool)
	}
}

// What looks like several fields is none.
func TestADoubtfulFieldIsNotUsed(t *testing.T) {
	const m = 0x1000
	var locked, free sample
	locked[3], locked[7] = m, m
	free[3] = m + 8
	if got := find(locked, free); got != 7 {
		t.Errorf("found %d; want 7", got)
	}
	locked[9] = m
	if got := find(locked, free); got != 0 {
		t.Errorf("found %d; want none: 7 and 9 are alike", got)
	}
	if got := find(sample{}, free); got != 0 {
		t.Errorf("found %d; want none", got)
	}
}

func BenchmarkIsLocked(b *testing.B) {
	g, n := Current(), 0
	for b.Loop() {
		if g.IsLocked() {
			n++
		}
	}
}

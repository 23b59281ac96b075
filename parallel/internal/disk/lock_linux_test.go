package disk

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestLockExcludesTwoStoresOfOneProcess(t *testing.T) {
	t.Parallel()
	dir := storeDir(t)
	var n atomic.Int64 // the race detector does not see locks of the system
	var all sync.WaitGroup
	for range 2 {
		s := open(t, dir, Limits{})
		for range 2 {
			all.Go(func() {
				for range 5 {
					l, err := s.Lock(context.Background(), keyNumber(1))
					if err != nil {
						t.Error(err)
						return
					}
					n.Store(n.Load() + 1)
					l.Unlock()
				}
			})
		}
	}
	all.Wait()
	if n.Load() != 20 {
		t.Errorf("20 increments under the lock made %d", n.Load())
	}
}

func TestLocksOfOtherKeysOfAnotherStoreDoNotWait(t *testing.T) {
	t.Parallel()
	dir := storeDir(t)
	a, b := open(t, dir, Limits{}), open(t, dir, Limits{})
	defer lock(t, a, keyNumber(1)).Unlock()
	if isFree(b, keyNumber(1)) {
		t.Error("the other store has the lock too")
	}
	if !isFree(b, keyNumber(2)) {
		t.Error("TryLock of another key = nil; want a lock")
	}
}

func TestWaitForALockOfAnotherStoreEndsWithTheContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		dir := storeDir(t)
		a, b := open(t, dir, Limits{}), open(t, dir, Limits{})
		l := lock(t, a, keyNumber(1))
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		start := time.Now()
		_, err := b.Lock(ctx, keyNumber(1))
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 10*time.Second {
			t.Errorf("Lock = %v after %v; want context.DeadlineExceeded after 10s", err, time.Since(start))
		}
		if len(b.busy) != 0 {
			t.Error("a wait that was given up keeps the key busy")
		}
		l.Unlock()
		if !isFree(b, keyNumber(1)) {
			t.Error("the lock is held after Unlock")
		}
	})
}

func TestALockThatAnotherStoreGivesBackIsHadSoon(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		dir := storeDir(t)
		a, b := open(t, dir, Limits{}), open(t, dir, Limits{})
		l := lock(t, a, keyNumber(1))
		start := time.Now()
		time.AfterFunc(time.Minute, l.Unlock)
		var all sync.WaitGroup
		for range 5 { // one of them asks the system, and the others wait for that one
			all.Go(func() {
				l, err := b.Lock(t.Context(), keyNumber(1))
				if err != nil {
					t.Error(err)
					return
				}
				l.Unlock()
			})
		}
		all.Wait()
		if waited := time.Since(start) - time.Minute; waited < 0 || waited > longestNap {
			t.Errorf("all had the lock %v after it was given back; want at most %v", waited, longestNap)
		}
	})
}

func TestWhoAsksTheSystemLeavesAndAnotherGoesOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		dir := storeDir(t)
		a, b := open(t, dir, Limits{}), open(t, dir, Limits{})
		l := lock(t, a, keyNumber(1))
		ctx, cancel := context.WithCancel(t.Context())
		left := make(chan error)
		go func() {
			_, err := b.Lock(ctx, keyNumber(1))
			left <- err
		}()
		synctest.Wait()
		had := make(chan error)
		go func() {
			l, err := b.Lock(t.Context(), keyNumber(1))
			if err == nil {
				l.Unlock()
			}
			had <- err
		}()
		synctest.Wait()
		cancel()
		if err := <-left; !errors.Is(err, context.Canceled) {
			t.Errorf("Lock = %v; want context.Canceled", err)
		}
		l.Unlock()
		if err := <-had; err != nil {
			t.Errorf("Lock = %v; want a lock", err)
		}
	})
}

// Two keys of 2^62 have one place: one waits for the other, or both go on, but no
// third is let in by the first that ends.
func TestKeysOfOnePlaceKeepTheirLocks(t *testing.T) {
	t.Parallel()
	dir := storeDir(t)
	a, b := open(t, dir, Limits{}), open(t, dir, Limits{})
	k1, k2 := Key{0: 1}, Key{0: 2}
	l1 := a.TryLock(k1)
	l2 := a.TryLock(k2)
	l1.Unlock()
	if l2 != nil {
		defer l2.Unlock()
		if isFree(b, k2) {
			t.Error("the other store has the lock too")
		}
	}
}

func TestLocksAreSeenByWhoMakesTheFolderAnew(t *testing.T) {
	t.Parallel()
	for name, remove := range map[string]func(dir string) error{
		"the folder":    os.RemoveAll,
		"the lock file": func(dir string) error { return os.Remove(filepath.Join(dir, "lock")) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := storeDir(t)
			a := open(t, dir, Limits{})
			settled(t, a, keyNumber(1), "x")
			if err := remove(dir); err != nil {
				t.Fatal(err)
			}
			b := open(t, dir, Limits{})
			settled(t, b, keyNumber(2), "x")
			settled(t, a, keyNumber(3), "x")
			defer lock(t, a, keyNumber(4)).Unlock()
			if isFree(b, keyNumber(4)) {
				t.Error("the other store has the lock too")
			}
		})
	}
}

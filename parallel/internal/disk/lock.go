package disk

import (
	"context"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Lock is that of a key, in this process and between processes.
//
// Between processes, it is that of one byte of the file "lock", at the place that
// the key says. The system takes it back when a process ends, and leaves no file
// behind. There are 2^62 places; of two keys that have one, one waits for the other.
type Lock struct {
	store  *Store
	key    Key
	shared *os.File // in which other processes see it; nil if they cannot

	nameless string // where the entry is to be that has a temporary name only; "": none
	size     int64  // of that
	written  *os.File
	part     int64 // of what may be under way

	prepared chan struct{} // closed when Prepare is done; nil if it was not called
	file     string        // that it makes
}

// longestNap is how long a process that waits for another looks away, at most.
const longestNap = 50 * time.Millisecond

// Lock waits until nobody else has the lock of key, or returns ctx's error. Where
// processes cannot lock each other out, it excludes this process only: then two of
// them may compute the same thing, and one may find damaged what the other is writing.
func (s *Store) Lock(ctx context.Context, key Key) (*Lock, error) {
	for {
		release := s.claim(place(key))
		if release == nil {
			break
		}
		select {
		case <-release:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	l := &Lock{store: s, key: key}
	for nap := time.Millisecond; !l.share(); nap = min(2*nap, longestNap) {
		select {
		case <-time.After(nap):
		case <-ctx.Done():
			l.release()
			return nil, ctx.Err()
		}
	}
	return l, nil
}

// TryLock returns nil if somebody has the lock of key.
func (s *Store) TryLock(key Key) *Lock {
	if s.claim(place(key)) != nil {
		return nil
	}
	l := &Lock{store: s, key: key}
	if !l.share() {
		l.release()
		return nil
	}
	return l
}

// claim makes a place this caller's own in this process. If it is somebody else's, it
// returns what is closed when that ends.
func (s *Store) claim(at int64) (release <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if release, isBusy := s.busy[at]; isBusy {
		return release
	}
	s.busy[at] = make(chan struct{})
	return nil
}

// share takes the lock where other processes see it. It returns false if one of
// them has it.
func (l *Lock) share() bool {
	f := l.store.lockFile()
	if f == nil {
		return true
	}
	ok, err := lockByte(f, place(l.key))
	if err != nil {
		l.store.report("processes do not wait for each other", f.Name(), err)
		return true
	}
	if ok {
		l.shared = f
	}
	return ok
}

// Unlock gives the lock back, once the entry has its name, and does not wait for
// that.
func (l *Lock) Unlock() {
	if l.nameless != "" || l.prepared != nil {
		l.settle()
		return
	}
	l.release()
	l.arrive()
}

// release gives the lock back, with or without an entry.
func (l *Lock) release() {
	if l.shared != nil {
		_ = unlockByte(l.shared, place(l.key)) // else it ends with the process
	}
	l.store.mu.Lock()
	close(l.store.busy[place(l.key)])
	delete(l.store.busy, place(l.key))
	l.store.mu.Unlock()
}

// place is that of a key's byte in the lock file.
func place(key Key) int64 { return int64(binary.LittleEndian.Uint64(key[:]) >> 2) }

// lockFile returns the file whose bytes are locks, nil if it cannot be had. It is
// opened once: some systems take back all locks of a process when it closes a second
// one.
func (s *Store) lockFile() *os.File {
	s.opening.Lock()
	defer s.opening.Unlock()
	path := filepath.Join(s.dir, "lock")
	if s.locks != nil && isStill(s.locks, path) {
		return s.locks
	}
	if s.trust() != nil {
		return nil
	}
	f, _, err := openFile(path, os.O_RDWR|os.O_CREATE)
	if errors.Is(err, fs.ErrNotExist) {
		if err = s.makeRoot(); err == nil {
			f, _, err = openFile(path, os.O_RDWR|os.O_CREATE)
		}
	}
	if err != nil {
		if !errors.Is(err, ErrNotUsed) {
			s.report("processes do not wait for each other", path, err)
		}
		return nil
	}
	s.locks = f // a holder of a lock in another one, that was removed, keeps it open
	return f
}

// isStill reports whether f is the file at path.
func isStill(f *os.File, path string) bool {
	is, err := f.Stat()
	there, missing := os.Lstat(path)
	return err == nil && missing == nil && os.SameFile(is, there)
}

package disk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// manySettling is how many files may wait to be synced. Then a call that writes another
// waits: the disk is the limit. Limits may let fewer: see [Limits.part].
const manySettling = 16

// Read is that of the store, for the holder of the lock. If a process ended before it gave
// the entry its name, Unlock does.
func (l *Lock) Read(in Folder) (Entry, error) {
	e, err := l.store.ReadNamed(in, l.key)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return e, err
	}
	path := l.store.Path(in, l.key)
	if e, torn := l.store.read(path+tmp, l.key); torn == nil && l.store.trust() == nil {
		l.nameless, l.size = path, int64(headerSize+len(e.Body))
		return e, nil
	}
	return Entry{}, err
}

// Prepare makes the temporary file for an entry that may be written, behind the back of
// the caller, who computes it meanwhile. Making a file takes most of the time that
// writing a small entry does, 30 µs to half a millisecond.
func (l *Lock) Prepare(in Folder) {
	l.prepared, l.file = make(chan struct{}), l.store.Path(in, l.key)+tmp
	go func() {
		defer close(l.prepared)
		if l.store.trust() != nil {
			return
		}
		if f, err := l.store.create(l.file); err == nil { // else Write tries again, and says why
			f.Close() // it may be long until it is used, and there may be many
		}
	}()
}

// Write writes the entry of the key that is locked. When it returns, the entry can be
// read, though it has neither its name yet nor is safe from a failure of power: see
// [Store.Sync]. A large entry that the limits would not let stay is not written.
func (l *Lock) Write(in Folder, e Entry) error {
	s := l.store
	size := int64(headerSize + len(e.Body))
	if err := s.trust(); err != nil {
		return err
	}
	if s.limits.MaxBytes > 0 && size > s.limits.MaxBytes {
		return fmt.Errorf("it has %d bytes, more than MaxBytes", size)
	}
	l.abandon()
	l.depart(size)
	path := s.Path(in, l.key)
	f, err := l.open(path + tmp)
	if err != nil {
		return err
	}
	err = write(f, e.header(l.key), e.Body)
	if err == nil {
		err = remove(path) // or readers would find the old one until the new one has its name
	}
	if err != nil {
		f.Close()
		os.Remove(f.Name())
		return err
	}
	l.nameless, l.size, l.written = path, size, f
	s.mu.Lock()
	delete(s.void, l.key) // it is what was to be removed that is gone
	s.mu.Unlock()
	return nil
}

// Void removes the entry of the key that is locked, which another was to replace that
// cannot be written. Where nothing can be removed, in a folder that is read-only for
// instance, the store does not use the entry any more.
func (l *Lock) Void(in Folder) {
	l.abandon()
	s, path := l.store, l.store.Path(in, l.key)
	if s.trust() == nil && errors.Join(remove(path), remove(path+tmp)) == nil {
		return
	}
	_, missing := readFile(path, l.key)
	_, torn := readFile(path+tmp, l.key)
	if missing != nil && torn != nil {
		return // so that void has no more keys than there are entries
	}
	s.mu.Lock()
	s.void[l.key] = time.Now()
	s.mu.Unlock()
}

// abandon forgets what was written, or found, and has no name yet.
func (l *Lock) abandon() {
	if l.written != nil {
		l.written.Close()
	}
	l.nameless, l.written = "", nil
}

// open opens the temporary file, and makes it if it was not prepared.
func (l *Lock) open(path string) (*os.File, error) {
	if l.prepared != nil {
		<-l.prepared
		l.prepared = nil
		if f, _, err := openFile(path, os.O_WRONLY); err == nil {
			return f, nil
		}
	}
	return l.store.create(path)
}

// create makes a file that was not there, and the folders above it. Of a file that
// was there, whoever wrote it has ended.
func (s *Store) create(path string) (f *os.File, err error) {
	for range 1000 { // others may clear as fast as this can make folders
		f, _, err = openFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			if err := s.makeRoot(); err != nil {
				return nil, err
			}
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrExist) {
				return nil, err
			}
		case errors.Is(err, fs.ErrExist):
			if err := remove(path); err != nil {
				return nil, err
			}
		default:
			return f, err
		}
	}
	return nil, err
}

// write writes a small entry at once, and a large one without copying it.
func write(f *os.File, header, body []byte) error {
	if len(body) <= page {
		header, body = append(header, body...), nil
	}
	for _, part := range [][]byte{header, body} {
		if _, err := f.Write(part); err != nil {
			return err
		}
	}
	return nil
}

// depart waits until another file of that size may be under way.
func (l *Lock) depart(size int64) {
	l.arrive()
	l.part = l.store.limits.part(size)
	_ = l.store.underWay.Acquire(context.Background(), l.part)
}

// arrive is for a file that is counted, or is none.
func (l *Lock) arrive() {
	if l.part > 0 {
		l.store.underWay.Release(l.part)
		l.part = 0
	}
}

// settle gives the entry its name, or removes the file that was not used, and then
// gives the lock back and sees to the limits, behind the caller's back.
func (l *Lock) settle() {
	s := l.store
	if l.nameless != "" && l.part == 0 {
		l.depart(l.size)
	}
	done := make(chan struct{})
	s.mu.Lock()
	s.settling[l] = done
	s.mu.Unlock()
	go func() {
		told := l.finish()
		l.arrive() // only now: or more would be written than whoever sees to the limits removes
		for _, t := range told {
			s.report(t.what, t.path, t.err)
		}
		s.mu.Lock()
		delete(s.settling, l)
		s.mu.Unlock()
		close(done)
	}()
}

// trouble is what is to be reported.
type trouble struct {
	what, path string
	err        error
}

// finish is what is left to do for a file. It returns what went wrong, which is
// reported when others may write again: whoever is told may store results too.
func (l *Lock) finish() (told []trouble) {
	if l.prepared != nil {
		<-l.prepared
		_ = remove(l.file)
	}
	if l.nameless == "" {
		l.release()
		return nil
	}
	err := l.name()
	l.release()
	switch {
	case err == nil:
		return l.store.added(l.nameless, l.size)
	case errors.Is(err, fs.ErrNotExist):
		return nil // all was cleared meanwhile
	}
	return []trouble{{"a result is not kept", l.nameless, err}}
}

// name syncs the temporary file and makes it the entry.
func (l *Lock) name() (err error) {
	f := l.written
	if f == nil {
		if f, _, err = openFile(l.nameless+tmp, os.O_WRONLY); err != nil {
			return err
		}
	}
	isOurs := isStill(f, f.Name()) // where nobody is locked out, another process may write it too
	err = errors.Join(f.Sync(), f.Close())
	if !isOurs {
		return fs.ErrNotExist
	}
	if err == nil {
		now := time.Now()
		_ = os.Chtimes(f.Name(), now, now) // the order of use is that of these times
		err = os.Rename(f.Name(), l.nameless)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}

package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// manySettling is how many files may wait to be synced. Then who writes another
// waits: the disk is the limit.
const manySettling = 16

// Read is that of the store, for who has the lock. If a process ended before it gave
// the entry its name, Unlock does.
func (l *Lock) Read(in Folder) (Entry, error) {
	e, err := l.store.ReadNamed(in, l.key)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return e, err
	}
	path := l.store.Path(in, l.key)
	if e, torn := readFile(path+tmp, l.key); torn == nil && l.store.trust() == nil {
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
	if l.written != nil {
		l.written.Close()
	}
	l.nameless, l.written = "", nil
	l.queue()
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
	return nil
}

// open opens the temporary file, and makes it if it was not prepared.
func (l *Lock) open(path string) (*os.File, error) {
	if l.prepared != nil {
		<-l.prepared
		l.prepared = nil
		if f, err := os.OpenFile(path, os.O_WRONLY, 0); err == nil {
			return f, nil
		}
	}
	return l.store.create(path)
}

// create makes a file that was not there, and the folders above it. Of a file that
// was there, whoever wrote it has ended.
func (s *Store) create(path string) (f *os.File, err error) {
	for range 1000 { // others may clear as fast as this can make folders
		f, err = os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
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

// queue waits until not too many files are open that wait to be synced.
func (l *Lock) queue() {
	if !l.hasSlot {
		l.store.slots <- struct{}{}
		l.hasSlot = true
	}
}

// settle gives the entry its name, or removes the file that was not used, and then
// gives the lock back, behind the caller's back.
func (l *Lock) settle() {
	s := l.store
	if l.nameless != "" {
		l.queue()
	}
	done := make(chan struct{})
	s.mu.Lock()
	s.settling[l] = done
	s.mu.Unlock()
	go func() {
		var err error
		if l.prepared != nil {
			<-l.prepared
			_ = remove(l.file)
		}
		if l.nameless != "" {
			err = l.name()
		}
		l.release()
		switch {
		case l.nameless == "":
		case err == nil:
			s.added(l.nameless, l.size)
		case !errors.Is(err, fs.ErrNotExist): // else all was cleared meanwhile
			s.report("a result is not kept", l.nameless, err)
		}
		s.mu.Lock()
		delete(s.settling, l)
		s.mu.Unlock()
		close(done)
	}()
}

// name syncs the temporary file and makes it the entry.
func (l *Lock) name() (err error) {
	f := l.written
	if f == nil {
		if f, err = os.OpenFile(l.nameless+tmp, os.O_WRONLY, 0); err != nil {
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

package disk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"syscall"
	"time"
)

// Entry is a result and what is known of it.
type Entry struct {
	Stored time.Time
	Took   time.Duration // to compute it
	Body   []byte        // the result's encoding
}

// An entry begins with a header, whose numbers are little-endian:
//
//	 0  magic
//	 8  version of the format
//	12  CRC-32C of all that follows
//	16  key
//	48  when it was stored, in nanoseconds since 1970
//	56  how long it took to compute, in nanoseconds
//	64  length of the body, which follows
const (
	magic      = "futures\x00"
	version    = 1 // also changes when executor.Encode does
	headerSize = 72
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errVersion is the error of an entry that another version of this package wrote.
var errVersion = errors.New("written by another version")

// DamagedError is the error of a file that is not the entry it should be, or cannot be
// read itself.
type DamagedError struct {
	Path   string
	Reason error
}

func (e *DamagedError) Error() string { return fmt.Sprintf("%s is no good: %v", e.Path, e.Reason) }
func (e *DamagedError) Unwrap() error { return e.Reason }

// header returns what stands before the body of an entry.
func (e *Entry) header(key Key) []byte {
	h := make([]byte, headerSize)
	copy(h, magic)
	binary.LittleEndian.PutUint32(h[8:], version)
	copy(h[16:], key[:])
	binary.LittleEndian.PutUint64(h[48:], uint64(e.Stored.UnixNano()))
	binary.LittleEndian.PutUint64(h[56:], uint64(e.Took))
	binary.LittleEndian.PutUint64(h[64:], uint64(len(e.Body)))
	binary.LittleEndian.PutUint32(h[12:], crc32.Update(crc32.Checksum(h[16:], castagnoli), castagnoli, e.Body))
	return h
}

// parse returns the entry that data is, whose memory it keeps.
func parse(data []byte, key Key) (Entry, error) {
	if err := parseHeader(data, key, int64(len(data))); err != nil {
		return Entry{}, err
	}
	if crc32.Checksum(data[16:], castagnoli) != binary.LittleEndian.Uint32(data[12:]) {
		return Entry{}, errors.New("its checksum is wrong")
	}
	return Entry{
		Stored: time.Unix(0, int64(binary.LittleEndian.Uint64(data[48:]))),
		Took:   time.Duration(binary.LittleEndian.Uint64(data[56:])),
		Body:   data[headerSize:],
	}, nil
}

// parseHeader looks at the header of a file of that size, which begins with data.
func parseHeader(data []byte, key Key, size int64) error {
	switch {
	case len(data) < headerSize:
		return fmt.Errorf("it has %d bytes, and a header alone has %d", len(data), headerSize)
	case string(data[:8]) != magic:
		return errors.New("it is no entry")
	case binary.LittleEndian.Uint32(data[8:]) != version:
		return errVersion
	case Key(data[16:48]) != key:
		return errors.New("it is the entry of another key")
	}
	if is, should := uint64(size-headerSize), binary.LittleEndian.Uint64(data[64:]); is != should {
		return fmt.Errorf("its body has %d bytes instead of %d", is, should)
	}
	return nil
}

// Read returns the entry of a key. The error matches [fs.ErrNotExist] if there is
// none that this version can read, also if the folders above it cannot be read, which
// is reported. It is a [*DamagedError] if there is one that is not whole.
func (s *Store) Read(in Folder, key Key) (Entry, error) {
	e, err := s.ReadNamed(in, key)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return e, err
	}
	if e, torn := s.read(s.Path(in, key)+tmp, key); torn == nil && s.trust() == nil {
		return e, nil
	}
	return s.ReadNamed(in, key) // it may have got its name between the two
}

// ReadNamed is Read for an entry that has its name: it does not find one that was
// written less than a moment ago. Whether there is one, only the holder of the lock knows.
func (s *Store) ReadNamed(in Folder, key Key) (Entry, error) {
	if err := s.trust(); err != nil {
		return Entry{}, missing(err)
	}
	path := s.Path(in, key)
	e, err := s.read(path, key)
	switch {
	case err == nil:
		s.touch(path)
		return e, nil
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR), errors.Is(err, errVersion):
		return Entry{}, missing(err)
	case !blames(path, err):
		s.report("results cannot be read", s.dir, err)
		return Entry{}, missing(err)
	}
	return Entry{}, &DamagedError{path, err}
}

// read is readFile without an entry that is void.
func (s *Store) read(path string, key Key) (Entry, error) {
	e, err := readFile(path, key)
	if err == nil && s.isVoid(key, e.Stored) {
		return Entry{}, fs.ErrNotExist
	}
	return e, err
}

// isVoid reports whether the entry of a key was to be removed when it had been stored.
func (s *Store) isVoid(key Key, stored time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	since, isVoid := s.void[key]
	return isVoid && !stored.After(since)
}

// missing makes err match [fs.ErrNotExist].
func missing(err error) error { return fmt.Errorf("%w: %w", fs.ErrNotExist, err) }

// page is how much of a file is read before anybody looks at it. Most entries are
// smaller.
const page = 4 << 10

// readFile takes memory for a file of any size only if its header says that size.
func readFile(path string, key Key) (Entry, error) {
	f, about, err := openFile(path, os.O_RDONLY)
	if err != nil {
		return Entry{}, err
	}
	defer f.Close()
	size := about.Size()
	data := make([]byte, min(size, page))
	if _, err := io.ReadFull(f, data); err != nil {
		return Entry{}, err
	}
	if size > page {
		if err := parseHeader(data, key, size); err != nil {
			return Entry{}, err
		}
		data = append(make([]byte, 0, size), data...)[:size]
		if _, err := io.ReadFull(f, data[page:]); err != nil {
			return Entry{}, err
		}
	}
	return parse(data, key)
}

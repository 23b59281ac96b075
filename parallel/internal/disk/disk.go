// Package disk keeps results in a folder, under keys, for many goroutines and
// processes at once.
//
// The folder has one folder for each function, two levels of folders by the first
// digits of the key in it, and there a file for each entry:
//
//	lock
//	features-1f2e3d4c5b6a7988/a/0/…   62 hexadecimal digits
//	features-1f2e3d4c5b6a7988/a/0/….tmp
//
// How an entry comes to be. The call that computes a result holds the lock of its key, so
// that others wait for it. It writes the temporary file, and from then on the
// result is there for all: readers look for the entry and then for the temporary
// file, and take either only if it is whole. Syncing takes a disk ten times as long
// as writing, so that is done behind the caller's back, by a goroutine that then
// renames the file, gives back the lock, and sees to the limits; [Store.Sync] waits
// for it. Until the limits were seen to, the file is a part of what may be under way, and
// a call that writes another may have to wait: see Limits.part. If the process ends before,
// the next one finds a temporary file that is whole and nobody's, and goes on from there.
// One that is torn is written over.
//
// Nothing here trusts a file: each open is one of openFile, which waits for no pipe and
// follows no link, and each read compares the magic, the version, the key, the length
// and the checksum.
package disk

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
)

// Key is that of an entry.
type Key [sha256.Size]byte

// Folder is where the entries of a function are, whatever its version.
type Folder string

// FolderOf returns the folder of the function of that name. It is a plain name,
// and no other name's, also where upper and lower case are the same.
func FolderOf(name string) Folder {
	readable := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '_':
			return r
		case r >= 'A' && r <= 'Z':
			return r - 'A' + 'a'
		}
		return '_'
	}, name)
	digest := sha256.Sum256([]byte(name))
	return Folder(readable[:min(len(readable), 40)] + "-" + hex.EncodeToString(digest[:8]))
}

// isFolder reports whether FolderOf may have returned name. Others are none of
// our business.
func isFolder(name string) bool {
	i := strings.LastIndexByte(name, '-')
	return i >= 0 && len(name)-i-1 == 16 && isHex(name[i+1:])
}

func isHex(s string) bool { return s != "" && strings.Trim(s, "0123456789abcdef") == "" }

// Store keeps entries in a folder.
type Store struct {
	dir    string // absolute
	limits Limits
	report func(what, path string, err error) // is told what went wrong and costs nobody a result, perhaps again and again

	evicted func(entries int64) // is told how many were removed to keep the limits

	opening sync.Mutex // guards locks, and its opening
	locks   *os.File   // nil until it is needed

	mu       sync.Mutex              // guards the fields below, and no wait
	busy     map[int64]chan struct{} // by place; closed when its lock is given back
	settling map[*Lock]chan struct{} // closed when the entry has its name
	usage    usage
	swept    map[string]bool   // folders in which left temporary files were looked for
	void     map[Key]time.Time // entries that could not be removed, and since when they are not used

	underWay *semaphore.Weighted // files that were written and not yet counted, as parts of all that may be
	tidying  chan struct{}       // has room for whoever sees to the limits
}

// New returns the store of a folder, which need not exist.
func New(dir string, limits Limits, report func(what, path string, err error), evicted func(entries int64)) *Store {
	return &Store{
		dir: dir, limits: limits, report: report, evicted: evicted,
		busy:     make(map[int64]chan struct{}),
		settling: make(map[*Lock]chan struct{}),
		swept:    make(map[string]bool),
		void:     make(map[Key]time.Time),
		underWay: semaphore.NewWeighted(allUnderWay),
		tidying:  make(chan struct{}, 1),
	}
}

// Path returns where the entry of a key is.
func (s *Store) Path(in Folder, key Key) string {
	var digits [2 * len(key)]byte
	hex.Encode(digits[:], key[:])
	b := make([]byte, 0, len(s.dir)+len(in)+len(digits)+8)
	b = append(b, s.dir...)
	b = append(b, filepath.Separator)
	b = append(b, in...)
	for _, level := range [][]byte{digits[:1], digits[1:2], digits[2:]} {
		b = append(b, filepath.Separator)
		b = append(b, level...)
	}
	return string(b)
}

// tmp is what the name of a temporary file has behind that of its entry.
const tmp = ".tmp"

// keyOf returns the key of the entry, or the temporary file, at a path. ok is
// false for any other file.
func keyOf(path string) (key Key, isTmp, ok bool) {
	leaf, name := filepath.Split(path)
	name, isTmp = strings.CutSuffix(name, tmp)
	leaf = filepath.Clean(leaf)
	first, second := filepath.Base(filepath.Dir(leaf)), filepath.Base(leaf)
	digits := first + second + name
	if len(first) != 1 || len(second) != 1 || len(digits) != 2*len(key) || !isHex(digits) {
		return key, false, false
	}
	_, err := hex.Decode(key[:], []byte(digits))
	return key, isTmp, err == nil
}

// ErrNotUsed is matched by the error of a folder that others can write to, or that this
// process cannot read, which was reported.
var ErrNotUsed = errors.New("the folder is not used")

// trust returns an error if others than this user can write to the folder, or this
// user cannot read it. One that does not exist is no error. It is asked each time: a
// folder can be removed and made again.
func (s *Store) trust() error {
	about, err := os.Stat(s.dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !about.IsDir():
		err = fmt.Errorf("%w: it is a file", ErrNotUsed)
	default:
		err = refuse(about)
	}
	if err != nil {
		s.report("nothing is kept", s.dir, err)
	}
	return err
}

// makeRoot makes the folder, which git is told to leave alone.
func (s *Store) makeRoot() error {
	switch _, err := os.Stat(s.dir); {
	case err == nil:
		return s.trust()
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	if err := s.trust(); err != nil {
		return err
	}
	if f, _, err := openFile(filepath.Join(s.dir, ".gitignore"), os.O_WRONLY|os.O_CREATE|os.O_TRUNC); err == nil {
		_, _ = f.WriteString("*\n")
		f.Close()
	}
	return nil
}

// Forget removes the entry of a key. A result that is being computed is not
// affected.
func (s *Store) Forget(in Folder, key Key) error {
	if err := s.trust(); err != nil {
		return err
	}
	s.Sync()
	path := s.Path(in, key)
	l := s.TryLock(key)
	if l != nil {
		defer l.Unlock()
	}
	if _, torn := readFile(path+tmp, key); l != nil || torn == nil { // else somebody is writing it
		if err := remove(path + tmp); err != nil {
			return err
		}
	}
	return remove(path)
}

// Clear removes all entries of a function, and of all if in is "". Other files
// stay where they are.
func (s *Store) Clear(in Folder) error {
	if err := s.trust(); err != nil {
		return err
	}
	s.Sync()
	err := s.removeAll(in)
	if err == nil {
		err = s.removeAll(in) // a file that is renamed while its folder is listed may be in no list
	}
	s.removeEmpty(in)
	s.mu.Lock()
	s.usage.looked = time.Time{} // it has to be counted anew
	s.mu.Unlock()
	return err
}

func (s *Store) removeAll(in Folder) error {
	var errs []error
	err := s.walk(in, func(path string, _ fs.DirEntry) {
		entry := strings.TrimSuffix(path, tmp) // a temporary file may just get that name
		if err := errors.Join(remove(path), remove(entry)); err != nil {
			errs = append(errs, err)
		}
	})
	return errors.Join(append(errs, err)...)
}

// walk calls visit with the path of each entry and temporary file of a function,
// or of all if in is "". The error says which folders cannot be read; the others are
// visited.
func (s *Store) walk(in Folder, visit func(path string, file fs.DirEntry)) error {
	folders, err := s.folders(in)
	errs := []error{err}
	for _, folder := range folders {
		firsts, err := levels(folder)
		errs = append(errs, err)
		for _, first := range firsts {
			seconds, err := levels(first)
			errs = append(errs, err)
			for _, second := range seconds {
				files, err := list(second)
				errs = append(errs, err)
				for _, file := range files {
					path := filepath.Join(second, file.Name())
					if _, _, ok := keyOf(path); ok {
						visit(path, file)
					}
				}
			}
		}
	}
	return errors.Join(errs...)
}

// folders returns the path of the folder of a function, or of all.
func (s *Store) folders(in Folder) (all []string, err error) {
	if in != "" {
		return []string{filepath.Join(s.dir, string(in))}, nil
	}
	entries, err := list(s.dir)
	for _, d := range entries {
		if d.IsDir() && isFolder(d.Name()) {
			all = append(all, filepath.Join(s.dir, d.Name()))
		}
	}
	return all, err
}

// levels returns the paths of the folders in dir that are named by a digit of keys.
func levels(dir string) (all []string, err error) {
	entries, err := list(dir)
	for _, d := range entries {
		if d.IsDir() && len(d.Name()) == 1 && isHex(d.Name()) {
			all = append(all, filepath.Join(dir, d.Name()))
		}
	}
	return all, err
}

// list is os.ReadDir without an error if there is no such folder.
func list(dir string) ([]fs.DirEntry, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return entries, err
}

// removeEmpty removes the folders that have nothing in them. A call that makes a file
// in one of them at the same time makes the folder again.
func (s *Store) removeEmpty(in Folder) {
	folders, _ := s.folders(in)
	for _, folder := range folders {
		firsts, _ := levels(folder)
		for _, first := range firsts {
			seconds, _ := levels(first)
			for _, second := range seconds {
				_ = os.Remove(second)
			}
			_ = os.Remove(first)
		}
		_ = os.Remove(folder)
	}
}

// remove is os.Remove without an error if nothing is there.
func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Sync waits until all that was written, and unlocked, so far is on the disk and has
// its name.
func (s *Store) Sync() {
	s.mu.Lock()
	var waiting []chan struct{}
	for _, done := range s.settling {
		waiting = append(waiting, done)
	}
	s.mu.Unlock()
	for _, done := range waiting {
		<-done
	}
}

// Dir returns the path of the folder.
func (s *Store) Dir() string { return s.dir }

// Check makes the folder if it is not there, and returns why nothing can be kept in it.
func (s *Store) Check() error {
	if err := s.makeRoot(); err != nil {
		return err
	}
	f, err := os.CreateTemp(s.dir, "check-*"+tmp)
	if err != nil {
		return err
	}
	_, err = f.WriteString("whether there is room")
	return errors.Join(err, f.Sync(), f.Close(), os.Remove(f.Name()))
}

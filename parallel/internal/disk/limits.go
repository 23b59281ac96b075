package disk

import (
	"cmp"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Limits is how much is kept. Zero is no limit.
type Limits struct {
	MaxBytes int64
	MaxItems int
	MaxAge   time.Duration // since the last use
}

func (l *Limits) none() bool { return *l == Limits{} }

// usage is how much is kept, as far as this process knows. What others have added
// since it looked is not in it: each of them looks when its own count is over the
// limit.
type usage struct {
	looked  time.Time // zero: not yet
	bytes   int64
	items   int
	evicted int64 // entries that were removed to keep the limits
}

// isDue reports whether it is time to look at what is kept.
func (u *usage) isDue(l *Limits, now time.Time) bool {
	return u.looked.IsZero() ||
		l.MaxBytes > 0 && u.bytes > l.MaxBytes ||
		l.MaxItems > 0 && u.items > l.MaxItems ||
		l.MaxAge > 0 && now.Sub(u.looked).Abs() > l.MaxAge/8
}

// Evicted returns how many entries were removed to keep the limits.
func (s *Store) Evicted() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.usage.evicted
}

// touch notes that the entry at path was used now.
func (s *Store) touch(path string) {
	if !s.limits.none() {
		now := time.Now()
		_ = os.Chtimes(path, now, now) // it may have been removed since
	}
}

// added counts the entry at path, and sees to the limits if it is time to.
func (s *Store) added(path string, size int64) {
	if s.limits.none() {
		s.sweepFolder(filepath.Dir(path))
		return
	}
	s.mu.Lock()
	s.usage.bytes += size
	s.usage.items++
	s.mu.Unlock()
	s.tidying.Lock()
	defer s.tidying.Unlock()
	s.mu.Lock()
	isDue := s.usage.isDue(&s.limits, time.Now())
	s.mu.Unlock()
	if isDue {
		s.tidy()
	}
}

// kept is an entry that is there.
type kept struct {
	path string
	size int64
	used time.Time
}

// tidy looks at what is kept and removes what is over the limits, what was not used
// for longest first. It removes a tenth more, or it would have to look again at
// the next entry.
func (s *Store) tidy() {
	now := time.Now()
	s.mu.Lock()
	before := s.usage
	s.mu.Unlock()
	all, bytes := s.survey(now)
	items := len(all)
	slices.SortFunc(all, func(a, b kept) int { return cmp.Or(a.used.Compare(b.used), cmp.Compare(a.path, b.path)) })
	mostBytes, mostItems := target(s.limits.MaxBytes, bytes), int(target(int64(s.limits.MaxItems), int64(items)))
	evicted := int64(0)
	for _, k := range all {
		isOld := s.limits.MaxAge > 0 && now.Sub(k.used) > s.limits.MaxAge // in the future is not old: a clock may be set back
		if !isOld && bytes <= mostBytes && items <= mostItems {
			break
		}
		if err := remove(k.path); err != nil {
			s.report("an entry over the limits cannot be removed", k.path, err)
		}
		bytes -= k.size
		items--
		evicted++
	}
	s.mu.Lock()
	s.usage = usage{ // what was added meanwhile may be counted twice, and not be missed
		looked:  now,
		bytes:   bytes + s.usage.bytes - before.bytes,
		items:   items + s.usage.items - before.items,
		evicted: before.evicted + evicted,
	}
	s.mu.Unlock()
}

// target returns how much may stay of what there is.
func target(limit, is int64) int64 {
	if limit == 0 || is <= limit {
		return is
	}
	return limit - limit/10
}

// survey returns the entries that are there, and their bytes. It sweeps left
// temporary files on its way.
func (s *Store) survey(now time.Time) (all []kept, bytes int64) {
	s.walk("", func(path string, file fs.DirEntry) {
		about, err := file.Info()
		if err != nil {
			return // it was removed
		}
		if _, isTmp, _ := keyOf(path); isTmp {
			s.sweep(path, about, now)
			return
		}
		all = append(all, kept{path, about.Size(), about.ModTime()})
		bytes += about.Size()
	})
	return all, bytes
}

// leftFor is how long a temporary file has to lie there before anybody thinks that
// it was left.
const leftFor = time.Hour

// sweep removes the temporary file at path if whoever wrote it has ended. A whole
// one becomes the entry that it was to be.
func (s *Store) sweep(path string, about fs.FileInfo, now time.Time) {
	key, _, _ := keyOf(path)
	if now.Sub(about.ModTime()) < leftFor {
		return
	}
	l := s.tryLock(key)
	if l == nil {
		return
	}
	defer l.Unlock()
	if _, err := readFile(path, key); err == nil && os.Rename(path, path[:len(path)-len(tmp)]) == nil {
		return
	}
	_ = remove(path)
}

// sweepFolder sweeps the temporary files of a folder, once. Without limits, nobody
// walks through all of them.
func (s *Store) sweepFolder(folder string) {
	s.mu.Lock()
	wasSwept := s.swept[folder]
	s.swept[folder] = true
	s.mu.Unlock()
	if wasSwept {
		return
	}
	for _, file := range list(folder) {
		path := filepath.Join(folder, file.Name())
		if _, isTmp, ok := keyOf(path); ok && isTmp {
			if about, err := file.Info(); err == nil {
				s.sweep(path, about, time.Now())
			}
		}
	}
}

package disk

import (
	"cmp"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
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
// since it looked is not in it.
type usage struct {
	looked time.Time // zero: not yet
	is     amount
	added  amount // of that, since it looked
}

type amount struct {
	bytes int64
	items int
}

func (a *amount) add(bytes int64) {
	a.bytes += bytes
	a.items++
}

// isDue reports whether it is time to look at what is kept: when it may be over a
// limit, or when others, if they do as this process does, may have made it so.
func (u *usage) isDue(l *Limits, now time.Time) bool {
	return u.looked.IsZero() ||
		l.MaxBytes > 0 && (u.is.bytes > l.MaxBytes || u.added.bytes > l.MaxBytes/10) ||
		l.MaxItems > 0 && (u.is.items > l.MaxItems || u.added.items > l.MaxItems/10) ||
		l.MaxAge > 0 && now.Sub(u.looked).Abs() > l.MaxAge/8
}

// allUnderWay is all that may be under way: written, and not yet counted.
const allUnderWay = 1 << 30

// part returns which part of that a file is. A tenth of a limit may be under way, or one
// file that is larger, or manySettling. So there is never more than that over a limit:
// whoever is over it removes what is too much before it lets others write.
func (l *Limits) part(size int64) int64 {
	part := 1.0 / manySettling
	if l.MaxBytes > 0 {
		part = max(part, 10*float64(size)/float64(l.MaxBytes))
	}
	if l.MaxItems > 0 {
		part = max(part, 10/float64(l.MaxItems))
	}
	return int64(min(part, 1) * allUnderWay)
}

// touch notes that the entry at path was used now.
func (s *Store) touch(path string) {
	if !s.limits.none() {
		now := time.Now()
		_ = os.Chtimes(path, now, now) // it may have been removed since
	}
}

// added counts the entry at path, and sees to the limits if it is time to. It returns
// what went wrong.
func (s *Store) added(path string, size int64) []trouble {
	if s.limits.none() {
		s.sweepFolder(filepath.Dir(path))
		return nil
	}
	s.mu.Lock()
	s.usage.is.add(size)
	s.usage.added.add(size)
	s.mu.Unlock()
	s.tidying <- struct{}{}
	defer func() { <-s.tidying }()
	s.mu.Lock()
	isDue := s.usage.isDue(&s.limits, time.Now())
	s.mu.Unlock()
	if !isDue {
		return nil
	}
	return s.tidy()
}

// kept is an entry that is there.
type kept struct {
	path string
	size int64
	used time.Time
}

// tidy looks at what is kept and removes what is over the limits, what was not used
// for longest first. It removes a tenth more, or it would have to do so again at the
// next entry, but not the last one if that fits. It returns what went wrong.
func (s *Store) tidy() (told []trouble) {
	now := time.Now()
	s.mu.Lock()
	before := s.usage.added
	s.mu.Unlock()
	all, is, err := s.survey(now)
	if err != nil {
		told = append(told, trouble{"there may be more than the limits say", s.dir, err})
	}
	slices.SortFunc(all, func(a, b kept) int { return cmp.Or(a.used.Compare(b.used), cmp.Compare(a.path, b.path)) })
	most := amount{target(s.limits.MaxBytes, is.bytes), int(target(int64(s.limits.MaxItems), int64(is.items)))}
	evicted := int64(0)
	for i, k := range all {
		isOld := s.limits.MaxAge > 0 && now.Sub(k.used) > s.limits.MaxAge
		isLast := i == len(all)-1 && (s.limits.MaxBytes == 0 || k.size <= s.limits.MaxBytes)
		if !isOld && (isLast || is.bytes <= most.bytes && is.items <= most.items) {
			break
		}
		if err := remove(k.path); err != nil {
			told = append(told, trouble{"an entry over the limits cannot be removed", k.path, err})
			continue
		}
		is.bytes -= k.size
		is.items--
		evicted++
	}
	if evicted > 0 {
		s.evicted(evicted)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	added := amount{s.usage.added.bytes - before.bytes, s.usage.added.items - before.items} // meanwhile
	is.bytes += added.bytes                                                                 // perhaps twice, which does no harm
	is.items += added.items
	s.usage = usage{now, is, added}
	return told
}

// target returns how much may stay of what there is.
func target(limit, is int64) int64 {
	if limit == 0 || is <= limit {
		return is
	}
	return limit - limit/10
}

// survey returns the entries that are there, and how much they are. It sweeps left
// temporary files on its way. The error is that of what cannot be read, and removed.
//
// One that was last used in the future, before a clock was set back, is used now: it
// is neither old nor for ever young.
func (s *Store) survey(now time.Time) (all []kept, is amount, err error) {
	err = s.walk("", func(path string, file fs.DirEntry) {
		about, err := file.Info()
		if err != nil {
			return // it was removed
		}
		entry, isTmp := strings.CutSuffix(path, tmp)
		if isTmp && !s.sweep(path, about, now) {
			return
		}
		used := about.ModTime()
		if used.After(now) {
			used = now
			_ = os.Chtimes(entry, now, now)
		}
		all = append(all, kept{entry, about.Size(), used})
		is.add(about.Size())
	})
	return all, is, err
}

// leftFor is how long a temporary file has to lie there before anybody thinks that
// it was left.
const leftFor = time.Hour

// sweep removes the temporary file at path if whoever wrote it has ended. A whole
// one becomes the entry that it was to be; then it returns true.
func (s *Store) sweep(path string, about fs.FileInfo, now time.Time) (becomesEntry bool) {
	key, _, _ := keyOf(path)
	if now.Sub(about.ModTime()) < leftFor {
		return false
	}
	l := s.TryLock(key)
	if l == nil {
		return false
	}
	defer l.Unlock()
	if _, err := readFile(path, key); err == nil && os.Rename(path, strings.TrimSuffix(path, tmp)) == nil {
		return true
	}
	_ = remove(path)
	return false
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
	files, _ := list(folder)
	for _, file := range files {
		path := filepath.Join(folder, file.Name())
		if _, isTmp, ok := keyOf(path); ok && isTmp {
			if about, err := file.Info(); err == nil {
				s.sweep(path, about, time.Now())
			}
		}
	}
}

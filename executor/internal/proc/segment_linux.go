package proc

import (
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// closedAt is where in the header, behind the nonce, a word says that the
// segment is closed.
const closedAt = len(Handle{}.Nonce)

// NewSegment makes a segment of so many bytes, which are zero.
func NewSegment(size int) (*Segment, error) {
	whole, err := fileSize(size)
	if err != nil {
		return nil, err
	}
	fd, err := unix.MemfdCreate("futures shared", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) { // an old kernel, or a sandbox
		return nil, ErrNoSegments
	}
	if err != nil {
		return nil, fmt.Errorf("memfd_create: %w", err)
	}
	s := &Segment{Handle: Handle{PID: os.Getpid(), FD: fd}, isMade: true}
	_, _ = rand.Read(s.Nonce[:]) // never fails
	if err := s.fill(whole); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	return s, nil
}

// fileSize returns the size of a segment with its header.
func fileSize(size int) (int, error) {
	if size > math.MaxInt-pageSize {
		return 0, ErrSegmentLarge
	}
	return pageSize + size, nil
}

// fill gives a new segment its size and its header.
func (s *Segment) fill(whole int) error {
	if err := unix.Ftruncate(s.FD, int64(whole)); err != nil {
		return fmt.Errorf("ftruncate to %d bytes: %w", whole, err)
	}
	// A process that made it shorter would end all that have it mapped, with SIGBUS.
	if _, err := unix.FcntlInt(uintptr(s.FD), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_SEAL); err != nil {
		return fmt.Errorf("fcntl F_ADD_SEALS: %w", err)
	}
	if err := s.mmap(s.FD, whole, true); err != nil {
		return err
	}
	copy(s.memory, s.Nonce[:])
	made.add(s)
	return nil
}

func (s *Segment) mmap(fd, whole int, isWritable bool) error {
	protection := unix.PROT_READ
	if isWritable {
		protection |= unix.PROT_WRITE
	}
	memory, err := unix.Mmap(fd, 0, whole, protection, unix.MAP_SHARED|unix.MAP_NORESERVE)
	if err != nil {
		return fmt.Errorf("mmap of %d bytes: %w", whole, err)
	}
	s.memory, s.Data = memory, memory[pageSize:]
	return nil
}

// OpenSegment maps a segment of so many bytes that another process has made. The
// error is ErrSegmentClosed if it is there no more.
func OpenSegment(h Handle, size int, isWritable bool) (*Segment, error) {
	whole, err := fileSize(size)
	if err != nil {
		return nil, err
	}
	fd, a := descriptor(h)
	switch a {
	case gone:
		return nil, ErrSegmentClosed
	case unknown: // it is from a process that is not above this one
		if fd, err = h.open(); err != nil {
			return nil, err
		}
	}
	defer func() { _ = unix.Close(fd) }() // the mapping does not need it
	if err := h.check(fd, whole); err != nil {
		return nil, err
	}
	if flags, _ := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0); isWritable && flags&unix.O_ACCMODE != unix.O_RDWR { // only now: it is not some file that somebody has a use for
		readable := fd
		if fd, err = openAgain(fmt.Sprintf("/proc/self/fd/%d", readable), unix.O_RDWR); err != nil {
			fd = readable
			return nil, fmt.Errorf("it cannot be opened for writing: %w", err)
		}
		_ = unix.Close(readable)
	}
	s := &Segment{Handle: h}
	if err := s.mmap(fd, whole, isWritable); err != nil {
		return nil, err
	}
	if s.IsClosed() {
		s.Close()
		return nil, ErrSegmentClosed
	}
	return s, nil
}

// open opens the file that has the handle's descriptor, which may be any by now.
func (h Handle) open() (fd int, err error) {
	process := fmt.Sprintf("/proc/%d", h.PID)
	name := fmt.Sprintf("%s/fd/%d", process, h.FD)
	var stat unix.Stat_t
	if err = unix.Stat(name, &stat); err == nil {
		if !isSegment(&stat) { // to open another kind of file could wait, or do something
			return -1, ErrSegmentClosed
		}
		fd, err = openAgain(name, unix.O_RDONLY)
	}
	switch {
	case err == nil:
		return fd, nil
	case errors.Is(err, unix.ENXIO): // it is no file any more
		return -1, ErrSegmentClosed
	case !errors.Is(err, unix.ENOENT):
		return -1, fmt.Errorf("%s, where process %d has it, cannot be opened: %w", name, h.PID, err)
	}
	if err := unix.Stat(process, &stat); err != nil {
		return -1, fmt.Errorf("process %d, which has made it, has ended or is not on this machine: there is no %s", h.PID, process)
	}
	return -1, ErrSegmentClosed
}

// openAgain opens what is a descriptor already.
func openAgain(name string, flags int) (fd int, err error) {
	for {
		fd, err = unix.Open(name, flags|unix.O_CLOEXEC|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
		if err != unix.EINTR {
			return fd, err
		}
	}
}

// isSegment reports whether a file may be a segment.
func isSegment(stat *unix.Stat_t) bool {
	return stat.Mode&unix.S_IFMT == unix.S_IFREG && stat.Size >= int64(pageSize)
}

// check returns an error if the file is not the segment.
func (h Handle) check(fd, whole int) error {
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return fmt.Errorf("fstat: %w", err)
	}
	var nonce [len(h.Nonce)]byte
	if !isSegment(&stat) {
		return ErrSegmentClosed
	}
	if n, err := unix.Pread(fd, nonce[:], 0); err != nil || n < len(nonce) || nonce != h.Nonce {
		return ErrSegmentClosed // and the descriptor went to another file
	}
	if stat.Size != int64(whole) {
		return fmt.Errorf("it has %d bytes, not %d", stat.Size-int64(pageSize), whole-pageSize)
	}
	return nil
}

// closed is not 0 when the process that has made it has closed it.
func (s *Segment) closed() *atomic.Uint32 {
	return (*atomic.Uint32)(unsafe.Pointer(&s.memory[closedAt]))
}

// IsClosed reports whether the process that has made it has closed it.
func (s *Segment) IsClosed() bool { return s.memory == nil || s.closed().Load() != 0 }

// Close unmaps the segment. If this process has made it, its memory is free at
// once, though others still have it mapped: they see zeros.
func (s *Segment) Close() {
	if s.memory == nil {
		return
	}
	if s.isMade {
		made.remove(s)
		s.closed().Store(1)
		if n := int64(len(s.Data)); n > 0 {
			_ = unix.Fallocate(s.FD, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, pageSize, n)
		}
		_ = unix.Close(s.FD)
	}
	_ = unix.Munmap(s.memory)
	s.memory, s.Data = nil, nil
}

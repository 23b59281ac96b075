package proc

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// self is this program, whatever has become of its file.
const self = "/proc/self/exe"

// executable returns self or, where there is no /proc, the file that this program was
// started from, as long as that is the same.
func executable() (string, error) {
	if _, err := identity(self); err == nil {
		return self, nil
	}
	switch id, err := identity(startedFrom); {
	case err != nil:
		return "", fmt.Errorf("there is no %s, and the file that this program was started from: %w; mount /proc, or leave the file in its place", self, err)
	case id != Build():
		return "", fmt.Errorf("there is no %s, and %s, which this program was started from, is another file now; mount /proc, or leave the file in its place", self, startedFrom)
	}
	return startedFrom, nil
}

// startedFrom is the name that the system was given for this program, good wherever the
// program goes. (os.Executable asks /proc.)
var startedFrom = func() string {
	const atExecFn = 31 // AT_EXECFN: where the name is, in getauxval(3)
	pairs, _ := unix.Auxv()
	for _, pair := range pairs {
		if pair[0] != atExecFn {
			continue
		}
		name := unix.BytePtrToString(*(**byte)(unsafe.Pointer(&pair[1])))
		if abs, err := filepath.Abs(name); err == nil {
			return abs
		}
	}
	return os.Args[0]
}()

// Emulator returns the file of the program that runs this one in place of the
// processor, as QEMU's user emulation does, "" if there is none.
var Emulator = sync.OnceValue(func() string {
	const own, threads = "/proc/self/exe", "/proc/thread-self/exe"
	// The system has one answer to both. An emulator gives its own to the first, and
	// leaves the second to the system. Files are compared, not names: the name of a
	// file that is removed changes.
	if program, runner := identify(own), identify(threads); program == nil || runner == nil || os.SameFile(program, runner) {
		return ""
	}
	name, err := os.Readlink(threads)
	if err != nil {
		return "an emulator"
	}
	return name
})

// identify returns what is known of a file once it is open, nil if it cannot be opened.
func identify(name string) os.FileInfo {
	f, err := os.Open(name)
	if err != nil {
		return nil
	}
	defer f.Close()
	info, _ := f.Stat()
	return info
}

// Build identifies this program: it is the same for two processes that run the
// same file.
var Build = sync.OnceValue(func() string {
	id, err := identity(self)
	if err != nil {
		id, err = identity(startedFrom)
	}
	if err != nil {
		return err.Error()
	}
	return id
})

// identity identifies a file of a program that runs, to which nobody can write.
func identity(name string) (string, error) {
	var s syscall.Stat_t
	if err := syscall.Stat(name, &s); err != nil {
		return "", &os.PathError{Op: "stat", Path: name, Err: err}
	}
	return fmt.Sprintf("%x:%x:%d", s.Dev, s.Ino, s.Size), nil
}

// enlarge lets a pipe hold a megabyte, if the system allows.
func enlarge(f *os.File) {
	if c, err := f.SyscallConn(); err == nil {
		_ = c.Control(func(fd uintptr) { _, _ = unix.FcntlInt(fd, unix.F_SETPIPE_SZ, 1<<20) })
	}
}

// Watch returns when the process has ended. It ends what is left of its group, and
// lets reading end though others have the worker's ends of the pipes, which a
// program that it has started may.
func (p *Process) Watch() {
	if p.exit == nil { // an old kernel: reading ends when all have closed their ends
		return
	}
	defer p.exit.Close()
	c, err := p.exit.SyscallConn()
	if err == nil {
		err = c.Read(func(uintptr) bool { return p.hasExited() })
	}
	if err != nil {
		return
	}
	_ = p.Kill() // whatever is left of its group
	p.EndPipes()
}

// unread returns how many bytes of a pipe were not read.
func unread(f *os.File) (n int) {
	if c, err := f.SyscallConn(); err == nil {
		_ = c.Control(func(fd uintptr) { n, _ = unix.IoctlGetInt(int(fd), unix.TIOCINQ) })
	}
	return n
}

// hasExited reports whether the process has ended, and leaves it to be reaped.
func (p *Process) hasExited() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reaped {
		return true
	}
	var info unix.Siginfo
	err := unix.Waitid(unix.P_PID, p.PID, &info, unix.WEXITED|unix.WNOWAIT|unix.WNOHANG, nil)
	return err != nil && err != unix.EINTR || info.Signo != 0
}

// exitFile returns a file that can be read when p has ended, nil if there is none: an
// old kernel and QEMU's user emulation have no such files. Package os finds that out,
// where to ask for one with SysProcAttr.PidFD would let the start fail.
func exitFile(p *os.Process) (f *os.File) {
	_ = p.WithHandle(func(handle uintptr) {
		fd, err := unix.FcntlInt(handle, unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			return
		}
		_ = syscall.SetNonblock(fd, true)
		f = os.NewFile(uintptr(fd), "process")
	})
	return f
}

// await waits until p has ended, and leaves it to be reaped.
func await(p *os.Process) (hasEnded bool) {
	for unix.Waitid(unix.P_PID, p.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil) == unix.EINTR {
	}
	return true
}

// newShared returns memory for a worker to be, nil if there is none to be had.
func newShared() *Shared {
	fd, err := unix.MemfdCreate("futures", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil
	}
	f := os.NewFile(uintptr(fd), "shared memory")
	size := pageSize + 2*area() + Lanes*laneSize
	if f.Truncate(int64(size)) != nil {
		_ = f.Close()
		return nil
	}
	// A worker that made it shorter would end its parent, which gets SIGBUS then.
	if _, err := unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_SEAL); err != nil {
		_ = f.Close()
		return nil
	}
	shared, err := mapShared(f, size)
	if err != nil {
		_ = f.Close()
		return nil
	}
	return shared
}

// area returns the size of the areas for an argument and for a result: 0, where
// the address space of this process is limited, or has 32 bits.
func area() int {
	if strconv.IntSize < 64 {
		return 0
	}
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_AS, &limit) == nil && limit.Cur != unix.RLIM_INFINITY {
		return 0
	}
	return areaSize
}

// inheritShared returns the memory that the parent has shared, nil if it has none.
func inheritShared() (*Shared, error) {
	var stat syscall.Stat_t
	if syscall.Fstat(sharedFD, &stat) != nil || stat.Mode&syscall.S_IFMT != syscall.S_IFREG || stat.Size < pageSize+Lanes*laneSize {
		return nil, nil // it may be a file that the runtime has opened
	}
	s, err := mapShared(os.NewFile(sharedFD, "shared memory"), int(stat.Size))
	if err != nil {
		return nil, fmt.Errorf("the memory shared with the parent cannot be mapped: %w", err)
	}
	s.closeFile()
	return s, nil
}

func mapShared(f *os.File, size int) (*Shared, error) {
	memory, err := unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_NORESERVE)
	if err != nil {
		return nil, err
	}
	const rangesAt, journalAt = 2 << 10, 4 << 10 // in the first page, behind the slots
	s := &Shared{
		Slots:   unsafe.Slice((*atomic.Uint32)(unsafe.Pointer(&memory[0])), slots),
		Ranges:  unsafe.Slice((*atomic.Uint64)(unsafe.Pointer(&memory[rangesAt])), ranges),
		Journal: memory[journalAt:pageSize:pageSize],
		memory:  memory, file: f,
	}
	rest, large := memory[pageSize:], (size-pageSize-Lanes*laneSize)/2
	add := func(n int) {
		s.Areas, rest = append(s.Areas, rest[:n:n]), rest[n:]
	}
	add(large)
	add(large)
	for range Lanes {
		add(laneSize)
	}
	return s, nil
}

// Trim gives the pages of an area back to the system. What was in them is zero
// then.
func (s *Shared) Trim(area []byte) { _ = unix.Madvise(area, unix.MADV_REMOVE) }

// closeFile gives back the descriptor, which the memory does not need.
func (s *Shared) closeFile() {
	if s != nil && s.file != nil {
		_ = s.file.Close()
		s.file = nil
	}
}

// Close unmaps the memory.
func (s *Shared) Close() {
	s.closeFile()
	_ = unix.Munmap(s.memory)
	s.Slots, s.Ranges, s.Journal, s.Areas, s.memory = nil, nil, nil, nil, nil
}

// Resident returns the resident memory of the process in bytes, without what it
// shares with its parent.
func (p *Process) Resident() (n int64, ok bool) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID))
	if err != nil {
		return 0, false
	}
	all, ok1 := statusField(status, "VmRSS:")
	shared, ok2 := statusField(status, "RssShmem:")
	return all - shared, ok1 && ok2
}

// statusField returns a field of a status file, which is in kB there, in bytes.
func statusField(status []byte, name string) (int64, bool) {
	_, rest, ok := bytes.Cut(status, []byte("\n"+name))
	if !ok {
		return 0, false
	}
	line, _, _ := bytes.Cut(rest, []byte("\n"))
	n, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(string(line)), " kB"), 10, 64)
	return n << 10, err == nil
}

// OOMKills returns how many processes the system has killed in this process's
// control group because memory ran out.
func OOMKills() (n int64, ok bool) {
	groups, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(string(groups)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) < 3 {
			continue
		}
		file := ""
		switch parts[1] {
		case "":
			file = filepath.Join("/sys/fs/cgroup", parts[2], "memory.events")
		case "memory":
			file = filepath.Join("/sys/fs/cgroup/memory", parts[2], "memory.oom_control")
		}
		if text, err := os.ReadFile(file); err == nil {
			for field := range strings.Lines(string(text)) {
				if count, found := strings.CutPrefix(field, "oom_kill "); found {
					n, err := strconv.ParseInt(strings.TrimSpace(count), 10, 64)
					return n, err == nil
				}
			}
		}
	}
	return 0, false
}

// volunteer makes this process one of the first that the system ends when
// memory runs out, in any case before its parent.
func volunteer() {
	const file = "/proc/self/oom_score_adj"
	text, err := os.ReadFile(file)
	if err != nil {
		return
	}
	if score, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil {
		_ = os.WriteFile(file, []byte(strconv.Itoa(min(score+100, 1000))), 0)
	}
}

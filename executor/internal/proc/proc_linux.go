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

// executable is this program, whatever has become of its file.
func executable() (string, error) { return "/proc/self/exe", nil }

// Build identifies this program: it is the same for two processes that run the
// same file.
var Build = sync.OnceValue(func() string {
	var s syscall.Stat_t
	if err := syscall.Stat("/proc/self/exe", &s); err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%x:%x:%d:%d.%d", s.Dev, s.Ino, s.Size, s.Mtim.Sec, s.Mtim.Nsec)
})

// enlarge lets a pipe hold a megabyte, if the system allows.
func enlarge(f *os.File) {
	if c, err := f.SyscallConn(); err == nil {
		_ = c.Control(func(fd uintptr) { _, _ = unix.FcntlInt(fd, unix.F_SETPIPE_SZ, 1<<20) })
	}
}

// await waits until p has ended, and leaves it to be reaped.
func await(p *os.Process) {
	for unix.Waitid(unix.P_PID, p.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil) == unix.EINTR {
	}
}

// newShared returns memory for a worker to be, nil if there is none to be had.
func newShared() *Shared {
	if strconv.IntSize < 64 {
		return nil
	}
	fd, err := unix.MemfdCreate("futures", unix.MFD_CLOEXEC)
	if err != nil {
		return nil
	}
	f := os.NewFile(uintptr(fd), "shared memory")
	if f.Truncate(pageSize+2*areaSize) != nil {
		_ = f.Close()
		return nil
	}
	return mapShared(f)
}

func inheritShared() *Shared {
	var stat syscall.Stat_t
	if strconv.IntSize < 64 || syscall.Fstat(sharedFD, &stat) != nil || stat.Size != pageSize+2*areaSize {
		return nil
	}
	syscall.CloseOnExec(sharedFD)
	return mapShared(os.NewFile(sharedFD, "shared memory"))
}

func mapShared(f *os.File) *Shared {
	memory, err := unix.Mmap(int(f.Fd()), 0, pageSize+2*areaSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_NORESERVE)
	if err != nil {
		_ = f.Close()
		return nil
	}
	return &Shared{
		Slots:   unsafe.Slice((*atomic.Uint32)(unsafe.Pointer(&memory[0])), slots),
		Args:    memory[pageSize:][:areaSize:areaSize],
		Results: memory[pageSize+areaSize:],
		memory:  memory, file: f,
	}
}

// Trim gives the pages of Args, or of Results, back to the system. What was in
// them is zero then.
func (s *Shared) Trim(area []byte) { _ = unix.Madvise(area, unix.MADV_REMOVE) }

// Close unmaps the memory.
func (s *Shared) Close() {
	_ = unix.Munmap(s.memory)
	_ = s.file.Close()
	s.Slots, s.Args, s.Results, s.memory = nil, nil, nil, nil
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

//go:build unix

package proc

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"syscall"
)

// The descriptors of a worker, behind the usual three.
const (
	requestsFD = 3
	repliesFD  = 4
	doorFD     = 5
	sharedFD   = 6
)

// In a worker, no program that an init function starts gets these: it would keep
// the pipes open when the worker has gone. Packages that are initialized before
// this one come too early; see Watch.
func init() {
	if _, ok := os.LookupEnv(marker); ok {
		for _, fd := range []int{requestsFD, repliesFD, doorFD, sharedFD} {
			syscall.CloseOnExec(fd)
		}
	}
}

func (s *starting) spawn(o Options) (*os.Process, error) {
	files := []*os.File{s.null, s.stdoutOut, s.stderrOut, s.requestsIn, s.repliesOut}
	if s.doorOutside != nil {
		files = append(files, s.doorOutside)
	}
	if s.shared != nil {
		files = append(files, s.shared.file)
	}
	name, err := executable()
	if err != nil {
		return nil, err
	}
	p, err := os.StartProcess(name, os.Args[:1], &os.ProcAttr{
		Env:   o.environment(strconv.Itoa(o.Depth)),
		Files: files,
		Sys:   &syscall.SysProcAttr{Setpgid: true}, // it leads a group of its own
	})
	s.shared.closeFile()
	return p, withRemedy(err, Emulator())
}

// withRemedy adds to the error of a start what can be done about it: a system starts
// a program for another processor only if it knows the emulator.
func withRemedy(err error, emulator string) error {
	if emulator == "" || !errors.Is(err, syscall.ENOEXEC) {
		return err
	}
	return fmt.Errorf("%w: this program is run by %s; register that with binfmt_misc, so that the system can start the program again", err, emulator)
}

// TryWrite writes what it can of b to the worker without waiting, and returns how
// much that was.
func (p *Process) TryWrite(b []byte) (n int) {
	c, err := p.Requests.SyscallConn()
	if err != nil {
		return 0
	}
	_ = c.Write(func(fd uintptr) bool {
		n, err = syscall.Write(int(fd), b)
		return true
	})
	return max(n, 0)
}

// readNow reads what is there, though the deadline of the file has passed.
func readNow(f *os.File, b []byte) (n int, err error) {
	c, err := f.SyscallConn()
	if err != nil {
		return 0, err
	}
	if failed := c.Control(func(fd uintptr) {
		for n, err = syscall.Read(int(fd), b); err == syscall.EINTR; {
			n, err = syscall.Read(int(fd), b)
		}
	}); failed != nil {
		return 0, failed
	}
	if n <= 0 && err == nil || err == syscall.EAGAIN {
		err = io.EOF
	}
	return max(n, 0), err
}

func (l *Link) inherit(string) error {
	for _, fd := range []int{requestsFD, repliesFD} {
		var stat syscall.Stat_t
		if syscall.Fstat(fd, &stat) != nil || stat.Mode&syscall.S_IFMT != syscall.S_IFIFO {
			return errNoPipe
		}
	}
	l.Requests = inheritFile(requestsFD, "requests")
	l.Replies = inheritFile(repliesFD, "replies")
	inheritDoor()
	var err error
	l.Shared, err = inheritShared()
	return err
}

// inheritFile makes a descriptor one that no child of this process gets, and on
// which no thread has to wait.
func inheritFile(fd int, name string) *os.File {
	syscall.CloseOnExec(fd)
	_ = syscall.SetNonblock(fd, true)
	return os.NewFile(uintptr(fd), name)
}

func becomeWorker() { signal.Ignore(syscall.SIGINT) }

// Settle does for a worker what can wait until it has said that it is ready.
// To print when the parent has gone must not end it before it has ended what it
// has started; and where memory runs out, it is to go before its parent.
func Settle() {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) // not Ignore, which programs that it starts would inherit
	volunteer()
}

func quit(p *os.Process) error { return p.Signal(syscall.SIGQUIT) }

// killGroup ends the group that p leads. p was not reaped, so that its number
// is still its own.
func killGroup(p *os.Process) error { return syscall.Kill(-p.Pid, syscall.SIGKILL) }

func killOwnGroup() {
	if pid := os.Getpid(); syscall.Getpgrp() == pid {
		_ = syscall.Kill(-pid, syscall.SIGKILL)
	}
}

func signalOf(s *os.ProcessState) os.Signal {
	if status, ok := s.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return status.Signal()
	}
	return nil
}

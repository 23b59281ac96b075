//go:build unix

package proc

import (
	"os"
	"os/signal"
	"strconv"
	"syscall"
)

// The descriptors of a worker, behind the usual three.
const (
	callsFD   = 3
	resultsFD = 4
	sharedFD  = 5
)

func (s *starting) spawn(o Options) (*os.Process, error) {
	files := []*os.File{s.null, s.stdoutOut, s.stderrOut, s.callsIn, s.resultsOut}
	if s.shared != nil {
		files = append(files, s.shared.file)
	}
	name, err := executable()
	if err != nil {
		return nil, err
	}
	return os.StartProcess(name, os.Args[:1], &os.ProcAttr{
		Env:   o.environment(strconv.Itoa(o.Depth)),
		Files: files,
		Sys:   &syscall.SysProcAttr{Setpgid: true},
	})
}

func (l *Link) inherit(string) error {
	for _, fd := range []int{callsFD, resultsFD} {
		var stat syscall.Stat_t
		if syscall.Fstat(fd, &stat) != nil || stat.Mode&syscall.S_IFMT != syscall.S_IFIFO {
			return errNoPipe
		}
	}
	l.Calls = inheritFile(callsFD, "calls")
	l.Results = inheritFile(resultsFD, "results")
	l.Shared = inheritShared()
	return nil
}

// inheritFile makes a descriptor one that no child of this process gets, and on
// which no thread has to wait.
func inheritFile(fd int, name string) *os.File {
	syscall.CloseOnExec(fd)
	_ = syscall.SetNonblock(fd, true)
	return os.NewFile(uintptr(fd), name)
}

func becomeWorker() {
	signal.Ignore(syscall.SIGINT)
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

package proc

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"golang.org/x/sys/windows"
)

// spawn hands the worker its pipes as handles, whose numbers are in the marker.
func (s *starting) spawn(o Options) (*os.Process, error) {
	name, err := executable()
	if err != nil {
		return nil, err
	}
	var handles []syscall.Handle
	for _, f := range []*os.File{s.requestsIn, s.repliesOut} {
		h := windows.Handle(f.Fd())
		if err := windows.SetHandleInformation(h, windows.HANDLE_FLAG_INHERIT, windows.HANDLE_FLAG_INHERIT); err != nil {
			return nil, err
		}
		handles = append(handles, syscall.Handle(h))
	}
	return os.StartProcess(name, os.Args[:1], &os.ProcAttr{
		Env:   o.environment(fmt.Sprintf("%d %d %d", o.Depth, handles[0], handles[1])),
		Files: []*os.File{s.null, s.stdoutOut, s.stderrOut},
		Sys:   &syscall.SysProcAttr{AdditionalInheritedHandles: handles, CreationFlags: windows.CREATE_NEW_PROCESS_GROUP},
	})
}

func (l *Link) inherit(handles string) error {
	var requests, replies uintptr
	if _, err := fmt.Sscan(handles, &requests, &replies); err != nil {
		return errNoPipe
	}
	for _, h := range []uintptr{requests, replies} {
		if t, err := windows.GetFileType(windows.Handle(h)); err != nil || t != windows.FILE_TYPE_PIPE {
			return errNoPipe
		}
		_ = windows.SetHandleInformation(windows.Handle(h), windows.HANDLE_FLAG_INHERIT, 0)
	}
	l.Requests = os.NewFile(requests, "requests "+strconv.Itoa(int(requests)))
	l.Replies = os.NewFile(replies, "replies "+strconv.Itoa(int(replies)))
	return nil
}

// A pipe has no deadlines here, so that nobody asks these two.
func unread(*os.File) int                   { return 0 }
func readNow(*os.File, []byte) (int, error) { return 0, io.EOF }

// TryWrite leaves it all to Write, which may wait.
func (p *Process) TryWrite([]byte) int { return 0 }

// await waits until p has ended.
func await(p *os.Process) (hasEnded bool) {
	return p.WithHandle(func(h uintptr) { _, _ = windows.WaitForSingleObject(windows.Handle(h), windows.INFINITE) }) == nil
}

func becomeWorker() { signal.Ignore(os.Interrupt) }

// Settle has nothing to do here.
func Settle() {}

func quit(*os.Process) error { return errors.ErrUnsupported }

func killGroup(p *os.Process) error { return p.Kill() }

func killOwnGroup() {}

func signalOf(*os.ProcessState) os.Signal { return nil }

package proc

import "golang.org/x/sys/unix"

// leash has the system end a worker, with all in its group, when this process ends:
// however it ends, and though the worker may have ended before, so that nobody is
// left who could end the programs that it has started.
//
// It is a pipe of which this process alone has both ends. The system tells the owner
// of one end, by a signal, when the other is closed. The owner of both is the group,
// and the signal SIGKILL. When this process ends, the system closes the two, in an
// order of its own: whichever is the first, the other is still there to be told of.
// An owner is a group itself, not the number of it that another may get later.
//
// What is left is the moment between the start of a worker and tie: a program that an
// init function has started then outlives both, if both are ended just there.
type leash struct{ ends [2]int }

func newLeash() (*leash, error) {
	l := new(leash)
	if err := unix.Pipe2(l.ends[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return nil, err
	}
	return l, nil
}

// tie makes the group that a process leads the owner. Where a sandbox does not know
// such owners, a worker that lives still finds out itself that its parent has gone.
func (l *leash) tie(pid int) {
	for _, end := range l.ends {
		_, _ = unix.FcntlInt(uintptr(end), unix.F_SETOWN, -pid)
		_, _ = unix.FcntlInt(uintptr(end), unix.F_SETSIG, int(unix.SIGKILL))
		_, _ = unix.FcntlInt(uintptr(end), unix.F_SETFL, unix.O_NONBLOCK|unix.O_ASYNC)
	}
}

// close gives back the descriptors, which ends what is left of the group.
func (l *leash) close() {
	if l == nil {
		return
	}
	for _, end := range l.ends {
		_ = unix.Close(end)
	}
}

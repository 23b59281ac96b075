package proc

import (
	"encoding/binary"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// A worker asks its parent for the descriptor of a segment, over a socket that it has
// inherited: /proc of a parent that has changed its user belongs to root. A question is
// the handle, an answer is a byte, and the descriptor if there is one. A parent that is a
// worker itself asks its own parent for what it has not made.

// answer is what is known of a segment.
type answer byte

const (
	unknown answer = iota // no process above has made it, or it has ended
	gone                  // it is closed
	found
)

const questionLen = 8 + len(Handle{}.Nonce)

// newDoor returns the two ends of a socket between a process and a worker.
func newDoor() (inside, outside *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	return os.NewFile(uintptr(fds[0]), "door"), os.NewFile(uintptr(fds[1]), "door"), nil
}

// AnswerDoor answers the questions of the worker until it has ended.
func (p *Process) AnswerDoor() {
	question := make([]byte, questionLen)
	for {
		n, err := p.door.Read(question)
		if err != nil || n == 0 {
			return
		}
		h := Handle{PID: int(binary.NativeEndian.Uint64(question))}
		copy(h.Nonce[:], question[8:])
		fd, a := descriptor(h)
		var rights []byte
		if a == found {
			rights = unix.UnixRights(fd)
		}
		err = send(p.door, []byte{byte(a)}, rights)
		if a == found {
			_ = unix.Close(fd)
		}
		if err != nil {
			return
		}
	}
}

func send(door *os.File, data, rights []byte) (err error) {
	c, err := door.SyscallConn()
	if err != nil {
		return err
	}
	failed := c.Write(func(fd uintptr) bool {
		err = unix.Sendmsg(int(fd), data, rights, nil, unix.MSG_NOSIGNAL)
		return err != unix.EAGAIN
	})
	if failed != nil {
		return failed
	}
	return err
}

// descriptor returns one of a segment that this process, or one above, has made. It
// belongs to the caller.
func descriptor(h Handle) (fd int, a answer) {
	if fd, ok := made.descriptor(h.Nonce); ok {
		return fd, found
	}
	if h.PID == os.Getpid() {
		return -1, gone
	}
	return parent.ask(h)
}

// made are the segments that this process has made and not closed.
var made segmentTable

type segmentTable struct {
	mu       sync.Mutex // guards the field below; held while a segment is closed
	segments map[[len(Handle{}.Nonce)]byte]*Segment
}

func (t *segmentTable) add(s *Segment) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.segments == nil {
		t.segments = make(map[[len(Handle{}.Nonce)]byte]*Segment)
	}
	t.segments[s.Nonce] = s
}

func (t *segmentTable) remove(s *Segment) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.segments, s.Nonce)
}

func (t *segmentTable) descriptor(nonce [len(Handle{}.Nonce)]byte) (fd int, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.segments[nonce]
	if s == nil {
		return -1, false
	}
	fd, err := unix.FcntlInt(uintptr(s.FD), unix.F_DUPFD_CLOEXEC, 0)
	return fd, err == nil
}

// parent is the door to the parent of this process, if it is a worker.
var parent parentDoor

type parentDoor struct {
	mu   sync.Mutex // held while a question is asked
	file *os.File   // nil: this process is no worker
}

// ask returns the descriptor of a segment that a process above has made.
func (d *parentDoor) ask(h Handle) (fd int, a answer) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.file == nil {
		return -1, unknown
	}
	question := binary.NativeEndian.AppendUint64(nil, uint64(h.PID))
	if send(d.file, append(question, h.Nonce[:]...), nil) != nil {
		return -1, unknown
	}
	return receive(d.file)
}

func receive(door *os.File) (fd int, a answer) {
	c, err := door.SyscallConn()
	if err != nil {
		return -1, unknown
	}
	data, rights := make([]byte, 1), make([]byte, unix.CmsgSpace(4))
	var n, more int
	failed := c.Read(func(fd uintptr) bool {
		n, more, _, _, err = unix.Recvmsg(int(fd), data, rights, unix.MSG_CMSG_CLOEXEC)
		return err != unix.EAGAIN
	})
	if failed != nil || err != nil || n == 0 || answer(data[0]) != found {
		if n == 1 && err == nil {
			return -1, answer(data[0])
		}
		return -1, unknown
	}
	messages, err := unix.ParseSocketControlMessage(rights[:more])
	if err != nil || len(messages) != 1 {
		return -1, unknown // no descriptor is free, or the like: /proc may say why
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		return -1, unknown
	}
	return fds[0], found
}

// inheritDoor keeps the door to the parent.
func inheritDoor() {
	if _, err := unix.GetsockoptInt(doorFD, unix.SOL_SOCKET, unix.SO_TYPE); err == nil {
		parent.file = inheritFile(doorFD, "door")
	}
}

// Package proc has what a pool of worker processes needs of the operating
// system: to start this program again as a worker, with pipes and shared memory
// between the two, to end it with all that it has started, and to make sure
// that it does not outlive its parent.
//
// On Linux, all of it works. Elsewhere there is no shared memory and no look at
// a worker's memory; on Windows there are no process groups, so that what a
// worker has started outlives it.
package proc

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Options say how a worker is started.
type Options struct {
	Env         []string // of the worker; nil: the parent's
	Depth       int      // how many workers are above it, and itself
	MemoryLimit int64    // of which the Go runtime of the worker is to use nine tenths; 0: no limit
}

// Process is a worker, for its parent.
type Process struct {
	PID            int
	Requests       *os.File // to the worker, which goes when it is closed
	Replies        *Pipe    // from the worker, which alone has the other end
	Stdout, Stderr *Pipe    // from the worker, and from those that it has started
	Shared         *Shared  // nil if the system has none

	process *os.Process
	leash   *leash
	door    *os.File   // over which the worker asks for segments; nil if there are none
	exit    *os.File   // can be read when it has ended; nil if the system has no such thing
	mu      sync.Mutex // held to signal and to reap, so that no signal goes to another process with the same number
	reaped  bool
}

// Status says how a process ended.
type Status struct {
	Known  bool      // else the program ignores SIGCHLD, and the system does not tell
	Code   int       // -1 if a signal ended it
	Signal os.Signal // nil if none did
}

// Link is the parent, for its worker.
type Link struct {
	Requests, Replies *os.File
	Shared            *Shared // nil if the parent has none
	Depth             int
}

// Shared is memory that a parent has in common with one worker. Only pages that
// were touched cost memory.
type Shared struct {
	Slots   []atomic.Uint32 // 320, for what both have to agree on
	Ranges  []atomic.Uint64 // 256, for which items of a chunk are whose
	Journal []byte          // for what came of the items of a chunk
	Areas   [][]byte        // for what is large: one argument, one result, and Lanes chunks

	memory []byte
	file   *os.File
}

const (
	slots    = 320
	ranges   = 256
	pageSize = 64 << 10  // a multiple of every system's
	areaSize = 256 << 20 // for an argument, and for a result
	laneSize = 1 << 20
)

// Lanes is the number of areas for chunks. They are the last ones.
const Lanes = 4

// marker is the variable in the environment of a worker that says so. Its value
// is the depth.
const marker = "FUTURES_WORKER"

// environment returns that of a worker.
func (o Options) environment(value string) []string {
	env := o.Env
	if env == nil {
		env = os.Environ()
	}
	env = slices.DeleteFunc(slices.Clone(env), func(v string) bool {
		return strings.HasPrefix(v, marker+"=") || o.MemoryLimit > 0 && strings.HasPrefix(v, "GOMEMLIMIT=")
	})
	if o.MemoryLimit > 0 {
		env = append(env, fmt.Sprintf("GOMEMLIMIT=%d", o.MemoryLimit/10*9))
	}
	const root = "SYSTEMROOT" // without which a process cannot do much there
	if runtime.GOOS == "windows" && !slices.ContainsFunc(env, func(v string) bool { return strings.HasPrefix(strings.ToUpper(v), root+"=") }) {
		env = append(env, root+"="+os.Getenv(root))
	}
	return append(env, marker+"="+value)
}

// Start starts this program as a worker: the very file that this process runs,
// where the system can tell, though it was deleted or replaced since.
func Start(o Options) (*Process, error) {
	var s starting
	defer s.closeChildEnds()
	p, err := s.start(o)
	if err != nil {
		s.closeParentEnds()
		return nil, err
	}
	return p, nil
}

// starting is a worker that is being started.
type starting struct {
	requestsIn, requestsOut, repliesIn, repliesOut, stdoutIn, stdoutOut, stderrIn, stderrOut *os.File
	null                                                                                     *os.File
	shared                                                                                   *Shared
	leash                                                                                    *leash
	doorInside, doorOutside                                                                  *os.File
}

func (s *starting) start(o Options) (p *Process, err error) {
	for _, ends := range [][2]**os.File{{&s.requestsIn, &s.requestsOut}, {&s.repliesIn, &s.repliesOut}, {&s.stdoutIn, &s.stdoutOut}, {&s.stderrIn, &s.stderrOut}} {
		if *ends[0], *ends[1], err = os.Pipe(); err != nil {
			return nil, err
		}
	}
	if s.null, err = os.Open(os.DevNull); err != nil {
		return nil, err
	}
	enlarge(s.requestsOut)
	enlarge(s.repliesIn)
	s.shared = newShared()
	if s.leash, err = newLeash(); err != nil {
		return nil, err
	}
	if s.doorInside, s.doorOutside, err = newDoor(); err != nil {
		return nil, err
	}
	process, err := s.spawn(o)
	if err != nil {
		return nil, err
	}
	s.leash.tie(process.Pid)
	return &Process{
		PID: process.Pid, Requests: s.requestsOut, Replies: &Pipe{file: s.repliesIn}, Stdout: &Pipe{file: s.stdoutIn}, Stderr: &Pipe{file: s.stderrIn},
		Shared: s.shared, process: process, leash: s.leash, door: s.doorInside, exit: exitFile(process),
	}, nil
}

func (s *starting) closeChildEnds() {
	closeAll(s.requestsIn, s.repliesOut, s.stdoutOut, s.stderrOut, s.null, s.doorOutside)
}

func (s *starting) closeParentEnds() {
	closeAll(s.requestsOut, s.repliesIn, s.stdoutIn, s.stderrIn, s.doorInside)
	s.leash.close()
	if s.shared != nil {
		s.shared.Close()
	}
}

func closeAll(files ...*os.File) {
	for _, f := range files {
		if f != nil {
			_ = f.Close()
		}
	}
}

// Quit lets the process print the stacks of its goroutines and end. It returns
// an error where there is no such signal.
func (p *Process) Quit() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reaped {
		return os.ErrProcessDone
	}
	return quit(p.process)
}

// Kill ends the process and all in its group, at once. It does no harm when the
// process has ended.
func (p *Process) Kill() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reaped {
		return nil
	}
	err := killGroup(p.process)
	_ = p.process.Kill() // it may lead its group no more
	return err
}

// Wait waits for the end of the process, ends what is left of its group, and
// reaps it. It is called once.
func (p *Process) Wait() Status {
	hasEnded := await(p.process)
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = killGroup(p.process)
	if !hasEnded {
		p.mu.Unlock() // or nobody could kill it
	}
	state, err := p.process.Wait()
	if !hasEnded {
		p.mu.Lock()
	}
	p.reaped = true
	if err != nil {
		return Status{Code: -1}
	}
	return Status{Known: true, Code: state.ExitCode(), Signal: signalOf(state)}
}

// EndPipes lets reading end where the worker, which has ended, stopped writing,
// and reports whether the system can do that. Else reading ends when all have
// closed their ends, which a program that the worker has started may have too.
func (p *Process) EndPipes() bool {
	if p.door != nil {
		_ = p.door.SetReadDeadline(time.Unix(1, 0))
	}
	return errors.Join(p.Replies.end(), p.Stdout.end(), p.Stderr.end()) == nil
}

// Close gives back the pipes and the memory.
func (p *Process) Close() {
	closeAll(p.Requests, p.Replies.file, p.Stdout.file, p.Stderr.file, p.door)
	p.leash.close()
	if p.Shared != nil {
		p.Shared.Close()
	}
}

// Inherited returns the worker's ends. ok is false if this process is no worker.
// The error is that the environment says that it is one, and its parent did not
// start it so.
//
// The worker ignores interrupts, which go to all that a terminal has started:
// its parent decides.
func Inherited() (l *Link, ok bool, err error) {
	value, ok := os.LookupEnv(marker)
	if !ok {
		return nil, false, nil
	}
	_ = os.Unsetenv(marker)
	depth, rest, _ := strings.Cut(value, " ")
	l = new(Link)
	if l.Depth, err = strconv.Atoi(depth); err != nil || l.Depth < 1 {
		return nil, true, fmt.Errorf("the variable %s is %q; a parent process sets it, nobody else", marker, value)
	}
	if err := l.inherit(rest); err != nil {
		return nil, true, fmt.Errorf("the variable %s says that this is a worker process, but %w; a parent process sets it, nobody else", marker, err)
	}
	becomeWorker()
	return l, true, nil
}

var errNoPipe = errors.New("there is no pipe to a parent")

// Vanish ends a worker whose parent has gone, with all that it has started.
func Vanish() {
	killOwnGroup()
	os.Exit(1) // where there are no groups, or it does not lead its own any more
}

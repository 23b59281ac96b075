package executor_test

import (
	"errors"
	"io"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gofutures/futures/executor"
	"github.com/gofutures/futures/internal/testhelp"
)

func init() { hosts["no clone with a pidfd"] = unaidedHost }

// unaidedHost has a system that takes the wish for a descriptor of a new process for a
// mistake, as QEMU's user emulation does.
func unaidedHost(string) {
	if err := refuseClone(unix.CLONE_PIDFD, unix.EINVAL); err != nil {
		giveUp("seccomp: %v", err)
	}
	ex := &executor.ProcessPoolExecutor{MaxWorkers: 1, Stderr: io.Discard}
	mustInHost(ex, deed{Verb: "tell"})
	_, err := inHost(ex, deed{Verb: "signal", N: int(syscall.SIGKILL)})
	if died, ok := errors.AsType[*executor.WorkerDiedError](err); !ok || died.Signal != syscall.SIGKILL {
		giveUp("a call that kills its worker: %v; want a *WorkerDiedError with SIGKILL", err)
	}
	mustInHost(ex, deed{Verb: "tell"})
	if err := ex.Close(); err != nil {
		giveUp("Close: %v", err)
	}
}

// refuseClone lets clone fail from now on if it is given a flag.
func refuseClone(flag uint32, with unix.Errno) error {
	const number, flags = 0, 16 // where the system has the number of the call, and its first argument
	return testhelp.Filter(
		unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: number},
		unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_CLONE, Jf: 3},
		unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: flags},
		unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K, K: flag, Jf: 1},
		unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(with)},
		unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	)
}

// Workers start, and their deaths are seen, where no descriptor says that a process has
// ended.
func TestWorkersStartWhereTheSystemHasNoDescriptorsOfProcesses(t *testing.T) {
	t.Parallel()
	startHost(t, "no clone with a pidfd", "").mustSucceed()
}

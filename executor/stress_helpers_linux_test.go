package executor_test

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A run of a stress test that failed is made again with the seed that it told:
//
//	FUTURES_LONG=1 go test ./executor -run Storm -v -stress.seed 7
var stressSeed = flag.Uint64("stress.seed", 0, "the `seed` of the random choices of the stress tests; 0: a new one")

// stressRand returns a source of random choices, and tells its seed.
func stressRand(t *testing.T) (r *rand.Rand, seed uint64) {
	seed = *stressSeed
	if seed == 0 {
		seed = 1 + uint64(time.Now().UnixNano())%1_000_000_000
	}
	t.Logf("-stress.seed %d", seed)
	return rand.New(rand.NewPCG(seed, 1)), seed
}

// stressPatience is how long a stress test waits for what must come.
const stressPatience = time.Minute

// comesTrue waits until ok, for at most so long, and reports whether it was.
func comesTrue(limit time.Duration, ok func() bool) bool {
	for deadline := time.Now().Add(limit); ; time.Sleep(2 * time.Millisecond) {
		if ok() {
			return true
		}
		if time.Now().After(deadline) {
			return false
		}
	}
}

// systemProcess is what the system says of a process.
type systemProcess struct {
	pid, parent int
	state       byte
}

// hasEnded reports whether it only waits to be reaped.
func (p systemProcess) hasEnded() bool { return p.state == 'Z' || p.state == 'X' }

// systemProcesses returns all processes.
func systemProcesses(t *testing.T) []systemProcess {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	var list []systemProcess
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			if p, ok := lookUpProcess(pid); ok {
				list = append(list, p)
			}
		}
	}
	return list
}

func lookUpProcess(pid int) (systemProcess, bool) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return systemProcess{}, false
	}
	rest := stat[bytes.LastIndexByte(stat, ')')+1:] // the name before may hold anything
	fields := strings.Fields(string(rest))
	if len(fields) < 2 {
		return systemProcess{}, false
	}
	parent, err := strconv.Atoi(fields[1])
	return systemProcess{pid, parent, fields[0][0]}, err == nil
}

// ownChildren returns the children of this process, also those that have ended
// and were not reaped.
func ownChildren(t *testing.T) []systemProcess {
	t.Helper()
	return slices.DeleteFunc(systemProcesses(t), func(p systemProcess) bool { return p.parent != os.Getpid() })
}

// wasStartedWith reports whether a process has that in its environment.
func wasStartedWith(pid int, variable string) bool {
	env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	return err == nil && slices.Contains(strings.Split(string(env), "\x00"), variable)
}

// signalChild signals a child of this process that has not ended, and reports
// whether it could. The handle is taken before the look at the parent, so that
// the signal meets no other process that has got the number.
func signalChild(pid int, s syscall.Signal) bool {
	p, err := os.FindProcess(pid)
	if err != nil {
		return false
	}
	defer p.Release()
	child, ok := lookUpProcess(pid)
	return ok && child.parent == os.Getpid() && !child.hasEnded() && p.Signal(s) == nil
}

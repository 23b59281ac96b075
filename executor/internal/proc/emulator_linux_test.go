package proc

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// The arguments of a thread say how the system has started this process, also to a
// program that is emulated.
func TestAnEmulatorIsFoundWhereThereIsOne(t *testing.T) {
	arguments, err := os.ReadFile("/proc/thread-self/cmdline")
	if err != nil {
		t.Skip("it looks at /proc: ", err)
	}
	started, _, _ := bytes.Cut(arguments, []byte{0})
	isEmulated := strings.HasPrefix(filepath.Base(string(started)), "qemu-")
	if name := Emulator(); (name != "") != isEmulated {
		t.Errorf("Emulator = %q; the system has started %q", name, started)
	}
}

func TestAStartUnderAnEmulatorThatTheSystemDoesNotKnowSaysWhatToDo(t *testing.T) {
	start := &fs.PathError{Op: "fork/exec", Path: "/proc/self/exe", Err: syscall.ENOEXEC}
	err := withRemedy(start, "/usr/bin/qemu-arm-static")
	const text = "fork/exec /proc/self/exe: exec format error: this program is run by /usr/bin/qemu-arm-static; register that with binfmt_misc, so that the system can start the program again"
	if err.Error() != text || !errors.Is(err, syscall.ENOEXEC) {
		t.Errorf("the error is %q; want %q, which is ENOEXEC", err, text)
	}
}

func TestAStartThatFailsOtherwiseKeepsItsError(t *testing.T) {
	format, memory := error(syscall.ENOEXEC), error(syscall.ENOMEM)
	for _, tt := range []struct {
		err      error
		emulator string
	}{{nil, ""}, {nil, "qemu"}, {memory, ""}, {memory, "qemu"}, {format, ""}} {
		if got := withRemedy(tt.err, tt.emulator); got != tt.err {
			t.Errorf("with the error %v and the emulator %q, the error is %v", tt.err, tt.emulator, got)
		}
	}
}

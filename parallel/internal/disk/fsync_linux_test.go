package disk

import (
	"fmt"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gofutures/futures/internal/testhelp"
)

func init() {
	children["fsync fails"] = func(dir string) {
		s := New(dir, Limits{}, func(what, path string, err error) { fmt.Printf("%s: %s: %v\n", what, path, err) }, nil)
		must(0, put(s, keyNumber(1), "before"))
		s.Sync()
		must(0, failWith(unix.SYS_FSYNC, unix.EIO))
		must(0, put(s, keyNumber(2), "after"))
		s.Sync()
		entries, temporary := files(s)
		_, err := s.Read(folder, keyNumber(2))
		fmt.Println(entries, temporary, err != nil, isFree(s, keyNumber(2)))
	}
}

// failWith lets a system call of this process fail from now on.
func failWith(call uint32, with unix.Errno) error {
	return testhelp.Filter(
		unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}, // the number of the call
		unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: call, Jf: 1},
		unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(with)},
		unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	)
}

// Else the name could be on the disk before what it names.
func TestAResultThatCannotBeSyncedGetsNoName(t *testing.T) {
	t.Parallel()
	dir := storeDir(t)
	path := New(dir, Limits{}, nil, nil).Path(folder, keyNumber(2))
	want := "a result is not kept: " + path + ": sync " + path + tmp + ": input/output error\n1 0 true true"
	if got := startChild(t, "fsync fails", dir).rest(); got != want {
		t.Errorf("the child said\n%s\nwant\n%s", got, want)
	}
}

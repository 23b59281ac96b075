package disk

import (
	"fmt"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
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
	program := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}, // the number of the call
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: call, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(with)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	filter := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&filter)))
	if errno != 0 {
		return errno
	}
	return nil
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

package parallel

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The memory that the processes of a program share to count in is a file without a
// name, which the first of them makes. A worker process finds it among the open files
// of the process that has started it, or of one that has started that. So it needs
// neither a place in the folder nor one in the environment, and is gone when the last
// process is. Where /proc cannot be read, each process counts for itself.
const tableName = "futures-memory-counts"

// workerMark is the variable that a worker process has in its environment when it
// begins. Package executor takes it away in WorkerMain.
const workerMark = "FUTURES_WORKER"

var isWorkerProcess = os.Getenv(workerMark) != ""

// table has a slot for each function with a memory, and for each folder.
type table [4096]struct {
	key    atomic.Uint64 // 0: nobody's
	counts counts
}

// program is the table of this program.
var program struct {
	sync.Mutex
	table *table
	file  *os.File // open, so that processes below this one find it
}

// programCounts returns the counts of a function, or nil if there are none to share.
func programCounts(dir string, o owner) *counts {
	t := programTable()
	if t == nil {
		return nil
	}
	return t.counts(slotKey(dir, o.name, o.version))
}

// programTable returns nil if there is no table, or not yet: the first process makes it
// when it first has a Memory.
func programTable() *table {
	program.Lock()
	defer program.Unlock()
	if program.table == nil {
		open := makeTable
		if isWorkerProcess {
			open = findTable
		}
		if f, err := open(); err == nil {
			program.table, program.file = mapTable(f), f
		}
	}
	return program.table
}

func makeTable() (*os.File, error) {
	fd, err := unix.MemfdCreate(tableName, unix.MFD_CLOEXEC)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), tableName)
	if err := f.Truncate(int64(unsafe.Sizeof(table{}))); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// findTable looks for the table of the processes above this one that run the same
// program. A program that has started this one has counts of its own.
func findTable() (*os.File, error) {
	own, err := os.Stat("/proc/self/exe")
	if err != nil {
		return nil, err
	}
	for pid := os.Getppid(); pid > 1; pid = parentOf(pid) {
		above := filepath.Join("/proc", strconv.Itoa(pid))
		if exe, err := os.Stat(filepath.Join(above, "exe")); err != nil || !os.SameFile(exe, own) {
			break
		}
		files, _ := os.ReadDir(filepath.Join(above, "fd"))
		for _, file := range files {
			path := filepath.Join(above, "fd", file.Name())
			if is, err := os.Readlink(path); err == nil && strings.HasPrefix(is, "/memfd:"+tableName+" ") {
				return os.OpenFile(path, os.O_RDWR, 0)
			}
		}
	}
	return nil, os.ErrNotExist
}

// parentOf returns 0 if it cannot be found out.
func parentOf(pid int) (parent int) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	behindName := text[strings.LastIndexByte(string(text), ')')+1:]
	var state string
	_, _ = fmt.Sscan(string(behindName), &state, &parent)
	return parent
}

// mapTable returns nil if f is no table, or cannot be mapped.
func mapTable(f *os.File) *table {
	const size = int(unsafe.Sizeof(table{}))
	if about, err := f.Stat(); err != nil || about.Size() != int64(size) {
		return nil
	}
	memory, err := unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil
	}
	return (*table)(unsafe.Pointer(unsafe.SliceData(memory)))
}

// counts returns those in the slot of a key, which may be new; nil if there is no room.
func (t *table) counts(key uint64) *counts {
	for i := range t {
		s := &t[(key+uint64(i))%uint64(len(t))]
		if s.key.CompareAndSwap(0, key) || s.key.Load() == key {
			return &s.counts
		}
	}
	return nil
}

// slotKey returns a key that is not 0.
func slotKey(parts ...string) uint64 {
	h := sha256.New()
	for _, part := range parts {
		fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	return max(1, binary.LittleEndian.Uint64(h.Sum(nil)))
}

package executor_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gofutures/futures/executor"
)

// isShared says that memory can be shared here.
const isShared = true

// traces of shared memory that a process has.
type sharedTraces struct {
	PID, Descriptors, Mappings int
	Resident                   int64 // bytes of shared memory
}

func init() {
	executor.Register(findTraces)
	executor.Register(awaitClose)
}

// findTraces looks at its own process. It has the garbage collected first if told so.
func findTraces(_ context.Context, collect bool) (a sharedTraces, err error) {
	if collect {
		runtime.GC()
		time.Sleep(10 * time.Millisecond) // what is to be done then is done soon
	}
	a.PID = os.Getpid()
	links, err := filepath.Glob("/proc/self/fd/*")
	for _, link := range links {
		if name, _ := os.Readlink(link); strings.HasPrefix(name, "/memfd:futures shared") {
			a.Descriptors++
		}
	}
	maps, err2 := os.ReadFile("/proc/self/maps")
	a.Mappings = strings.Count(string(maps), "/memfd:futures shared")
	status, err3 := os.ReadFile("/proc/self/status")
	_, rest, _ := strings.Cut(string(status), "RssShmem:")
	line, _, _ := strings.Cut(rest, "kB")
	a.Resident, _ = strconv.ParseInt(strings.TrimSpace(line), 10, 64)
	a.Resident <<= 10
	return a, errors.Join(err, err2, err3)
}

// awaitClose waits until the memory is given back.
func awaitClose(_ context.Context, s *executor.Shared[float64]) (int, error) {
	for s.Slice() != nil {
		time.Sleep(time.Millisecond)
	}
	return 1, nil
}

func tracesIn(t *testing.T, ex executor.Executor, collect bool) sharedTraces {
	t.Helper()
	a, err := resultOf(t, executor.Submit(context.Background(), ex, findTraces, collect))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestSharedArgumentOfManyMegabytesIsNotCopied(t *testing.T) {
	const n = 64 << 20 / 8
	ctx := context.Background()
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1, MemoryLimit: 60 << 20})
	s := newShared(t, n)
	for _, data := range [][]byte{must(executor.Encode(s)), must(executor.Encode(s.Writable())), must(executor.Encode([]span{{Numbers: s}}))} {
		if len(data) > 100 {
			t.Errorf("it is encoded in %d bytes; want less than 100", len(data))
		}
	}
	sum, err := resultOf(t, executor.Submit(ctx, ex, sumShared, s))
	want(t, "the sum", sum, err, n)
	s.Slice()[n-1] = 1000
	sum, err = resultOf(t, executor.Submit(ctx, ex, sumShared, s))
	want(t, "the sum after a change", sum, err, n+999)
	if a := tracesIn(t, ex, false); a.Descriptors != 0 || a.Mappings != 1 {
		t.Errorf("the worker has %+v after two calls; want one mapping and no descriptor", a)
	}
}

func TestWorkersWriteIntoAWritableShared(t *testing.T) {
	const n, parts = 10_000, 100
	ctx := context.Background()
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 2})
	s := newShared(t, n)
	var spans []span
	for i := range parts {
		spans = append(spans, span{s.Writable(), i * n / parts, (i + 1) * n / parts, float64(i)})
	}
	if _, err := executor.MapSlice(ctx, ex, addToSpan, spans); err != nil {
		t.Fatal(err)
	}
	var futures []*executor.Future[int]
	for _, d := range spans {
		futures = append(futures, executor.Submit(ctx, ex, addToSpan, d))
	}
	if _, err := executor.Gather(ctx, futures...); err != nil {
		t.Fatal(err)
	}
	for i, x := range s.Slice() {
		if want := 1 + 2*float64(i*parts/n); x != want {
			t.Fatalf("number %d is %v; want %v", i, x, want)
		}
	}
}

func TestWriteToAReadOnlySharedFailsThatCallAlone(t *testing.T) {
	ctx := context.Background()
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1})
	s := newShared(t, 10)
	for range 2 {
		_, err := resultOf(t, executor.Submit(ctx, ex, addToSpan, span{s, 0, 10, 1}))
		died, ok := errors.AsType[*executor.WorkerDiedError](err)
		if !ok || !strings.Contains(died.Stderr, "fault") {
			t.Fatalf("the error is %v; want that the worker died of a fault", err)
		}
		sum, err := resultOf(t, executor.Submit(ctx, ex, sumShared, s))
		want(t, "the sum after that", sum, err, 10)
	}
	if _, err := resultOf(t, executor.Submit(ctx, ex, addToSpan, span{s.Writable(), 0, 10, 1})); err != nil {
		t.Error(err)
	}
	_, err := resultOf(t, executor.Submit(ctx, ex, addToSpan, span{s, 0, 10, 1})) // in a worker that has it mapped for writing too
	if _, ok := errors.AsType[*executor.WorkerDiedError](err); !ok {
		t.Errorf("the error is %v; want that the worker died", err)
	}
}

func TestSharedOfAWorkerCannotBeReturned(t *testing.T) {
	ctx := context.Background()
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1})
	_, err := resultOf(t, executor.Submit(ctx, ex, makeShared, 10))
	if err == nil || !strings.Contains(err.Error(), "it was made in a worker process") {
		t.Errorf("the error is %v; want one that says so", err)
	}
}

func TestMemoryOfAClosedSharedIsFreeThoughIdleWorkersHaveItMapped(t *testing.T) {
	const size = 64 << 20
	ctx := context.Background()
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1})
	s := newShared(t, size/8)
	if sum, err := resultOf(t, executor.Submit(ctx, ex, sumShared, s)); err != nil || sum != size/8 {
		t.Fatalf("the sum is %v, %v", sum, err)
	}
	f := openShared(t)
	before := tracesIn(t, ex, false)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	after := tracesIn(t, ex, false)
	if after.PID != before.PID || after.Mappings != 1 || before.Resident < size || after.Resident > size/16 {
		t.Errorf("the worker has %+v, and %+v after Close; want one that has it mapped, and no memory after Close", before, after)
	}
	if got := blocksOf(t, f); got > 1<<20 {
		t.Errorf("%d bytes are in use after Close; want next to none", got)
	}
}

// openShared returns a descriptor of the only shared memory there is.
func openShared(t *testing.T) *os.File {
	t.Helper()
	links, _ := filepath.Glob("/proc/self/fd/*")
	for _, link := range links {
		if name, _ := os.Readlink(link); strings.HasPrefix(name, "/memfd:futures shared") {
			f, err := os.Open(link)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { f.Close() })
			return f
		}
	}
	t.Fatal("there is no shared memory")
	return nil
}

// blocksOf returns the bytes that a file takes.
func blocksOf(t *testing.T, f *os.File) int64 {
	t.Helper()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	return info.Sys().(*syscall.Stat_t).Blocks * 512
}

func TestCallThatRunsWhileItsSharedIsClosedIsNotHarmed(t *testing.T) {
	ctx := context.Background()
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1})
	s := newShared(t, 1000)
	f := executor.Submit(ctx, ex, awaitClose, s)
	waitUntil(t, "it runs", func() bool { return f.State() == executor.Running })
	time.Sleep(10 * time.Millisecond)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := resultOf(t, f); err != nil && !errors.Is(err, fs.ErrClosed) { // it was not there yet
		t.Error(err)
	}
}

func TestThousandSharedLeaveNothingBehind(t *testing.T) {
	ctx := context.Background()
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1})
	before, _ := findTraces(ctx, true)
	const most = 200 // mappings in a worker that were not collected yet
	for i := range 1000 {
		s, err := executor.NewShared[float64](1 << 10)
		if err != nil {
			t.Fatal(err)
		}
		s.Slice()[0] = float64(i)
		if i%10 == 0 {
			sum, err := resultOf(t, executor.Submit(ctx, ex, addToSpan, span{s.Writable(), 0, 1, 1}))
			if want := float64(i + 1); err != nil || s.Slice()[0] != want {
				t.Fatalf("the worker %d leaves %v, %v; want %v", sum, s.Slice()[0], err, want)
			}
		}
		sum, err := resultOf(t, executor.Submit(ctx, ex, sumShared2, s))
		if err != nil || sum != s.Slice()[0] {
			t.Fatalf("the sum is %v, %v; want %v", sum, err, s.Slice()[0])
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if i%100 == 99 {
			if a := tracesIn(t, ex, false); a.Descriptors != 0 || a.Mappings > most {
				t.Fatalf("the worker has %+v after %d; want no descriptor, and at most %d mappings", a, i, most)
			}
		}
	}
	last := newShared(t, 1)
	if _, err := resultOf(t, executor.Submit(ctx, ex, sumShared, last)); err != nil {
		t.Fatal(err)
	}
	waitUntil(t, "only the last is mapped in the worker", func() bool { return tracesIn(t, ex, true).Mappings == 1 })
	if a := tracesIn(t, ex, true); a.Descriptors != 0 || a.Resident > 16<<20 {
		t.Errorf("the worker has %+v; want no descriptor, and no memory but that of the pool", a)
	}
	if err := last.Close(); err != nil {
		t.Fatal(err)
	}
	if after, _ := findTraces(ctx, true); after.Descriptors != before.Descriptors || after.Mappings != before.Mappings {
		t.Errorf("this process has %+v, and had %+v before", after, before)
	}
}

func init() { executor.Register(sumShared2) }

// sumShared2 leaves the garbage alone.
func sumShared2(_ context.Context, s *executor.Shared[float64]) (float64, error) {
	sum := sumOfFloats(s.Slice())
	runtime.KeepAlive(s)
	return sum, nil
}

func TestWorkerKeepsOnlyAFewOfManySharedMapped(t *testing.T) {
	ctx := context.Background()
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1})
	var all []*executor.Shared[float64]
	for range 100 {
		all = append(all, newShared(t, 10))
	}
	for range 3 {
		for _, s := range all {
			sum, err := resultOf(t, executor.Submit(ctx, ex, sumShared2, s))
			want(t, "the sum", sum, err, 10)
		}
	}
	waitUntil(t, "16 are mapped", func() bool { return tracesIn(t, ex, true).Mappings == 16 })
}

// dropShared makes one and drops it without Close.
func dropShared(t *testing.T) {
	s, err := executor.NewShared[float64](1000)
	if err != nil {
		t.Fatal(err)
	}
	s.Slice()[0] = 1
	runtime.KeepAlive(s)
}

func TestSharedThatIsDroppedWithoutCloseIsGivenBack(t *testing.T) {
	before, _ := findTraces(context.Background(), true)
	for range 10 {
		dropShared(t)
	}
	waitUntil(t, "all are given back", func() bool {
		a, _ := findTraces(context.Background(), true)
		return a.Descriptors == before.Descriptors && a.Mappings == before.Mappings
	})
}

func TestDescriptorThatWentToAnotherFileIsNotTakenForTheShared(t *testing.T) {
	ctx := context.Background()
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1})
	big := inDir(t, "big")
	if err := os.WriteFile(big, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	fifo := inDir(t, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for what, put := range map[string]func(fd int) error{
		"nothing":        func(int) error { return nil },
		"a small file":   func(fd int) error { return putAt(fd, "/proc/self/stat", syscall.O_RDONLY) },
		"a large file":   func(fd int) error { return putAt(fd, big, syscall.O_RDONLY) },
		"this program":   func(fd int) error { return putAt(fd, "/proc/self/exe", syscall.O_RDONLY) },
		"a folder":       func(fd int) error { return putAt(fd, "/", syscall.O_RDONLY) },
		"a device":       func(fd int) error { return putAt(fd, "/dev/zero", syscall.O_RDWR) },
		"a named pipe":   func(fd int) error { return putAt(fd, fifo, syscall.O_RDWR) },
		"a pipe":         func(fd int) error { return putPipe(fd) },
		"an event queue": func(fd int) error { return putEpoll(fd) },
		"a socket":       func(fd int) error { return putSocket(fd) },
	} {
		for _, isWritable := range []bool{false, true} {
			s := newShared(t, 10)
			if isWritable {
				s = s.Writable()
			}
			data := must(executor.Encode(s))
			fd := descriptorOf(t)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if err := put(fd); err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			said, err := resultOf(t, executor.Submit(ctx, ex, decodeShared, data))
			if err != nil || said != "closed" {
				t.Errorf("with %s at its descriptor, writable: %t, the worker says %q, %v; want that it is closed", what, isWritable, said, err)
			}
			if what != "nothing" {
				_ = syscall.Close(fd)
			}
		}
	}
	// Another shared memory has the number now.
	s := newShared(t, 10)
	data, fd := must(executor.Encode(s)), descriptorOf(t)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	newShared(t, 10)
	if got := descriptorOf(t); got != fd {
		t.Skipf("the next descriptor is %d, not %d", got, fd)
	}
	said, err := resultOf(t, executor.Submit(ctx, ex, decodeShared, data))
	want(t, "another one at its descriptor", said, err, "closed")
}

func init() { executor.Register(decodeShared) }

// decodeShared says what becomes of a handle.
func decodeShared(_ context.Context, data []byte) (string, error) {
	s, err := executor.Decode[*executor.Shared[float64]](data)
	switch {
	case errors.Is(err, fs.ErrClosed):
		return "closed", nil
	case err != nil:
		return err.Error(), nil
	}
	return fmt.Sprint(s.Slice()), nil
}

// descriptorOf returns the descriptor of the only shared memory there is.
func descriptorOf(t *testing.T) int {
	t.Helper()
	for fd := range 1000 {
		if name, _ := os.Readlink(fmt.Sprint("/proc/self/fd/", fd)); strings.HasPrefix(name, "/memfd:futures shared") {
			return fd
		}
	}
	t.Fatal("there is no shared memory")
	return -1
}

// move moves a descriptor to the number fd.
func move(from, fd int) error {
	if from == fd {
		return nil
	}
	defer func() { _ = syscall.Close(from) }()
	return syscall.Dup3(from, fd, syscall.O_CLOEXEC)
}

func putAt(fd int, name string, flags int) error {
	from, err := syscall.Open(name, flags|syscall.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	return move(from, fd)
}

func putPipe(fd int) error {
	var p [2]int
	if err := syscall.Pipe2(p[:], syscall.O_CLOEXEC); err != nil {
		return err
	}
	other := p[1]
	if other == fd {
		other = p[0]
		p[0] = fd
	}
	defer func() { _ = syscall.Close(other) }()
	return move(p[0], fd)
}

func putEpoll(fd int) error {
	from, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return err
	}
	return move(from, fd)
}

func putSocket(fd int) error {
	from, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	return move(from, fd)
}

func TestSharedOfAProcessThatHasEndedIsExplained(t *testing.T) {
	ctx := context.Background()
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1})
	data, err := resultOf(t, executor.Submit(ctx, ex, encodeShared, 10))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := executor.Decode[*executor.Shared[float64]](data); err == nil || !strings.Contains(err.Error(), "made in a worker process") {
		t.Errorf("of a worker: %v; want an error that says so", err)
	}
	closeInTime(t, ex)
	other := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1})
	said, err := resultOf(t, executor.Submit(ctx, other, decodeShared, data)) // as deep as the one that has ended
	if err != nil || !strings.Contains(said, "has ended") {
		t.Errorf("of a process that has ended: %q, %v; want an error that says so", said, err)
	}
}

func init() { executor.Register(encodeShared) }

// encodeShared makes one that lives as long as the process.
func encodeShared(_ context.Context, n int) (data []byte, err error) {
	if leftOpen, err = executor.NewShared[float64](n); err != nil {
		return nil, err
	}
	return executor.Encode(leftOpen)
}

var leftOpen *executor.Shared[float64]

func TestEachNewWorkerMapsTheSharedAgain(t *testing.T) {
	ctx := context.Background()
	s := newShared(t, 100)
	oneEach := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 2, MaxTasksPerChild: 1})
	for range 6 {
		sum, err := resultOf(t, executor.Submit(ctx, oneEach, sumShared, s))
		want(t, "the sum in a new worker", sum, err, 100)
	}
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1})
	for range 3 {
		pid, err := resultOf(t, executor.Submit(ctx, ex, addToSpan, span{Numbers: s.Writable()}))
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		waitUntil(t, "the worker has ended", func() bool { return syscall.Kill(pid, 0) != nil })
		sum, err := resultOf(t, executor.Submit(ctx, ex, sumShared, s))
		want(t, "the sum after a kill", sum, err, 100)
	}
}

// Close may come at any time between others who use the handle.
func TestSharedIsSafeForManyGoroutines(t *testing.T) {
	for range 50 {
		s, err := executor.NewShared[float64](100)
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for range 20 {
					data, err := executor.Encode(s.Writable())
					if err == nil {
						_, err = executor.Decode[*executor.Shared[float64]](data)
					}
					if err != nil && !errors.Is(err, fs.ErrClosed) {
						t.Error(err)
					}
					_ = len(s.Slice())
				}
			})
		}
		wg.Go(func() {
			time.Sleep(time.Duration(rand.IntN(100)) * time.Microsecond)
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
		wg.Wait()
	}
}

// A slice of a worker is there until the call returns, whatever the collector does.
func TestSharedStaysMappedWhileTheCallRuns(t *testing.T) {
	ctx := context.Background()
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1})
	var all []span
	for range 40 {
		all = append(all, span{newShared(t, 100), 0, 100, 0})
	}
	for range 3 {
		sum, err := resultOf(t, executor.Submit(ctx, ex, sumSlowly, all))
		want(t, "the sum", sum, err, 4000)
		sums, err := executor.MapSlice(ctx, ex, sumSpan, all)
		if err != nil || sumOfFloats(sums) != 4000 {
			t.Errorf("MapSlice = %v, %v; want 40 times 100", sums, err)
		}
	}
}

func init() { executor.Register(sumSlowly) }

// sumSlowly takes the slices, and then has all collected that is not in use.
func sumSlowly(_ context.Context, spans []span) (sum float64, err error) {
	var all [][]float64
	for _, s := range spans {
		all = append(all, s.Numbers.Slice())
	}
	spans = nil
	for range 3 {
		debug.FreeOSMemory()
		time.Sleep(time.Millisecond)
	}
	for _, numbers := range all {
		sum += sumOfFloats(numbers)
	}
	return sum, nil
}

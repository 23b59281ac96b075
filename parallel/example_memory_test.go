package parallel_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofutures/futures/executor"
	"github.com/gofutures/futures/parallel"
)

// memory is the same in this program and in its workers.
var memory = parallel.Memory{Dir: cacheDir()}

// cacheDir returns the folder that the environment names, which workers inherit.
func cacheDir() string {
	if os.Getenv("EXAMPLE_CACHE") == "" {
		_ = os.Setenv("EXAMPLE_CACHE", filepath.Join(os.TempDir(), fmt.Sprint("example-cache-", os.Getpid())))
	}
	return os.Getenv("EXAMPLE_CACHE")
}

func countWords(_ context.Context, text string) (int, error) {
	return len(strings.Fields(text)), nil
}

var words = parallel.Cache(&memory, "words", "v1", countWords)

// cachedWords is what is registered for worker processes: a function that calls
// the cached one.
func cachedWords(ctx context.Context, text string) (int, error) { return words(ctx, text) }

func init() { executor.Register(cachedWords) }

// ExampleCache makes the calls in worker processes, which share what is on disk.
func ExampleCache() {
	defer os.RemoveAll(memory.Dir)
	jobs := parallel.Jobs{N: 2, Backend: "processes"}
	calls := func(yield func(parallel.Call[int]) bool) {
		_ = yield(parallel.Delayed(cachedWords, "to be or not")) && yield(parallel.Delayed(cachedWords, "to be"))
	}
	counts, err := parallel.Run(context.Background(), jobs, calls)
	fmt.Println(counts, err)

	n, err := words(context.Background(), "to be or not") // a worker has been there
	fmt.Println(n, err, memory.Stats().Hits, "hit")
	memory.Sync()
	// Output:
	// [4 2] <nil>
	// 4 <nil> 1 hit
}

func ExampleMemory() {
	dir, _ := os.MkdirTemp("", "")
	defer os.RemoveAll(dir)
	memory := parallel.Memory{Dir: dir, MaxBytes: 1 << 30, ExpiresAfter: 30 * 24 * time.Hour}
	defer memory.Sync()

	length := parallel.Cache(&memory, "length", "v1", func(_ context.Context, s string) (int, error) {
		fmt.Println("counting", s)
		return len(s), nil
	})
	for range 3 {
		n, err := length(context.Background(), "elephant")
		fmt.Println(n, err)
	}
	// Output:
	// counting elephant
	// 8 <nil>
	// 8 <nil>
	// 8 <nil>
}

// ExampleMemory_Check tells at the start that results will not be kept: here because a
// file is where the folder is to be.
func ExampleMemory_Check() {
	dir, _ := os.MkdirTemp("", "")
	defer os.RemoveAll(dir)
	_ = os.WriteFile(filepath.Join(dir, "cache"), nil, 0o600)

	memory := parallel.Memory{Dir: filepath.Join(dir, "cache")}
	fmt.Println(memory.Check() != nil)
	memory = parallel.Memory{Dir: filepath.Join(dir, "other")}
	fmt.Println(memory.Check())
	// Output:
	// true
	// <nil>
}

// Features is what is computed of a picture.
type Features struct{ Edges, Colours []float64 }

func computeFeatures(context.Context, string) (Features, error) { return Features{}, nil }

// ExampleMemory_limits keeps at most 10 GiB of results, in the folder where the program
// runs.
func ExampleMemory_limits() {
	ctx := context.Background()
	memory := &parallel.Memory{Dir: "cache", MaxBytes: 10 << 30}
	defer memory.Sync()
	features := parallel.Cache(memory, "features", "v3", computeFeatures) // a function of the same shape
	f, err := features(ctx, "elephant.png")
	fmt.Println(f, err)
}

// tempMemory returns a Memory in a folder of its own, and what removes that.
func tempMemory() (*parallel.Memory, func()) {
	dir, _ := os.MkdirTemp("", "")
	m := &parallel.Memory{Dir: dir}
	return m, func() {
		m.Sync()
		os.RemoveAll(dir)
	}
}

func ExampleNewCachedFunc() {
	memory, remove := tempMemory()
	defer remove()
	if _, err := parallel.NewCachedFunc(memory, "length", "", length); err != nil {
		fmt.Println(err)
	}
	// Output: parallel: Cache "length": empty version; it is to change when the function does
}

// ExampleCachedFunc keeps the sizes of files, and takes one anew that has changed.
func ExampleCachedFunc() {
	ctx := context.Background()
	memory, remove := tempMemory()
	defer remove()
	sizes, err := parallel.NewCachedFunc(memory, "size", "v1", func(_ context.Context, path string) (int64, error) {
		about, err := os.Stat(path)
		if err != nil {
			return 0, err
		}
		return about.Size(), nil
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	file := filepath.Join(memory.Dir, "file")
	_ = os.WriteFile(file, []byte("owl"), 0o600)
	fmt.Println(sizes.Call(ctx, file))
	_ = os.WriteFile(file, []byte("elephant"), 0o600)
	fmt.Println(sizes.Call(ctx, file))
	fmt.Println(sizes.Refresh(ctx, file))
	fmt.Println(sizes.Call(ctx, file))
	// Output:
	// 3 <nil>
	// 3 <nil>
	// 8 <nil>
	// 8 <nil>
}

func ExampleCachedFunc_Call() {
	memory, remove := tempMemory()
	defer remove()
	lengths, _ := parallel.NewCachedFunc(memory, "length", "v1", length)
	fmt.Println(lengths.Call(context.Background(), "owl"))
	// Output: 3 <nil>
}

func ExampleCachedFunc_Contains() {
	memory, remove := tempMemory()
	defer remove()
	lengths, _ := parallel.NewCachedFunc(memory, "length", "v1", length)
	fmt.Println(lengths.Contains("owl"))
	_, _ = lengths.Call(context.Background(), "owl")
	fmt.Println(lengths.Contains("owl"))
	// Output:
	// false
	// true
}

func ExampleCachedFunc_Refresh() {
	memory, remove := tempMemory()
	defer remove()
	answer := 41
	answers, _ := parallel.NewCachedFunc(memory, "answer", "v1", func(context.Context, string) (int, error) { return answer, nil })
	fmt.Println(answers.Call(context.Background(), "?"))
	answer = 42
	fmt.Println(answers.Refresh(context.Background(), "?"))
	// Output:
	// 41 <nil>
	// 42 <nil>
}

func ExampleCachedFunc_Forget() {
	memory, remove := tempMemory()
	defer remove()
	lengths, _ := parallel.NewCachedFunc(memory, "length", "v1", length)
	_, _ = lengths.Call(context.Background(), "owl")
	fmt.Println(lengths.Forget("owl"), lengths.Contains("owl"))
	// Output: <nil> false
}

func ExampleCachedFunc_Clear() {
	memory, remove := tempMemory()
	defer remove()
	lengths, _ := parallel.NewCachedFunc(memory, "length", "v1", length)
	_, _ = lengths.Call(context.Background(), "owl")
	fmt.Println(lengths.Clear(), lengths.Contains("owl"))
	// Output: <nil> false
}

func ExampleCachedFunc_Stats() {
	memory, remove := tempMemory()
	defer remove()
	lengths, _ := parallel.NewCachedFunc(memory, "length", "v1", length)
	for range 3 {
		_, _ = lengths.Call(context.Background(), "owl")
	}
	s := lengths.Stats()
	fmt.Println(s.Hits, "hits,", s.Misses, "miss")
	// Output: 2 hits, 1 miss
}

func ExampleMemory_Clear() {
	memory, remove := tempMemory()
	defer remove()
	lengths, _ := parallel.NewCachedFunc(memory, "length", "v1", length)
	_, _ = lengths.Call(context.Background(), "owl")
	fmt.Println(memory.Clear(), lengths.Contains("owl"))
	// Output: <nil> false
}

func ExampleMemory_Sync() {
	memory, remove := tempMemory()
	defer remove()
	length := parallel.Cache(memory, "length", "v1", length)
	_, _ = length(context.Background(), "owl")
	memory.Sync() // now it survives a failure of power
	fmt.Println(memory.Stats().Unkept, "were not kept")
	// Output: 0 were not kept
}

func ExampleMemory_Stats() {
	memory, remove := tempMemory()
	defer remove()
	length := parallel.Cache(memory, "length", "v1", length)
	for _, s := range []string{"owl", "gopher", "owl"} {
		_, _ = length(context.Background(), s)
	}
	s := memory.Stats()
	fmt.Println(s.Hits, "hit,", s.Misses, "misses")
	// Output: 1 hit, 2 misses
}

// ExampleMemoryEntry uses only what took long enough to compute.
func ExampleMemoryEntry() {
	memory := parallel.Memory{
		Dir:      "cache",
		Validate: func(e parallel.MemoryEntry) bool { return e.Took > time.Second },
	}
	fmt.Println(memory.Validate(parallel.MemoryEntry{Name: "length", Took: time.Millisecond}))
	// Output: false
}

func ExampleMemoryStats() {
	s := parallel.MemoryStats{Hits: 9, Misses: 1, Saved: 90 * time.Second}
	fmt.Printf("%d of %d from disk, %v saved\n", s.Hits, s.Hits+s.Misses, s.Saved)
	// Output: 9 of 10 from disk, 1m30s saved
}

func ExampleHash() {
	type point struct{ X, Y int }
	a, _ := parallel.Hash(map[string]point{"a": {1, 2}, "b": {3, 4}})
	b, _ := parallel.Hash(map[string]point{"b": {3, 4}, "a": {1, 2}})
	fmt.Println(a == b)

	_, err := parallel.Hash(struct{ Stop chan int }{})
	fmt.Println(err != nil)
	// Output:
	// true
	// true
}

func ExampleDigest() {
	d, _ := parallel.Hash("owl")
	fmt.Println(len(d), "bytes,", len(d.String()), "digits")
	// Output: 32 bytes, 64 digits
}

func ExampleDigest_String() {
	d, _ := parallel.Hash(7)
	fmt.Println(d)
	// Output: ab47aef428b56824370b909bf6c5313dab2cd4ba07c14ffbc121fe89d1b47ab5
}

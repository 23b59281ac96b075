package parallel_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/gofutures/futures/parallel"
)

// BenchmarkMemoryHit answers from a small entry. The peer reads a file of the same
// size.
//
//	go test -run '^$' -bench MemoryHit -benchtime 15x ./parallel
func BenchmarkMemoryHit(b *testing.B) {
	const n = 200
	m := &parallel.Memory{Dir: b.TempDir()}
	defer m.Sync()
	words := parallel.Cache(m, "words", "v1", func(_ context.Context, path string) ([]string, error) {
		return []string{path, "elephant", "owl", "gopher"}, nil
	})
	if _, err := words(b.Context(), "a/path"); err != nil {
		b.Fatal(err)
	}
	m.Sync()
	file := filepath.Join(b.TempDir(), "file")
	if err := os.WriteFile(file, make([]byte, 100), 0o600); err != nil {
		b.Fatal(err)
	}
	both(b, 3,
		func() float64 {
			return timed(n, func() {
				if got, err := words(b.Context(), "a/path"); err != nil || len(got) != 4 {
					b.Fatal(got, err)
				}
			})
		}, func() float64 {
			return timed(n, func() {
				if _, err := os.ReadFile(file); err != nil {
					b.Fatal(err)
				}
			})
		}, "ns/hit", "readfile-ns")
	if s := m.Stats(); s.Misses != 1 {
		b.Fatalf("%+v; want 1 miss", s)
	}
}

// timed returns how many nanoseconds one of n calls of f takes.
func timed(n int, f func()) float64 {
	begin := time.Now()
	for range n {
		f()
	}
	return float64(time.Since(begin).Nanoseconds()) / float64(n)
}

// BenchmarkMemoryMiss has a function that takes a millisecond, and a new argument for
// each call. The peer is the function alone. Making files is what costs, and depends
// on the folder: ext4 takes several times as long where many files were deleted in the
// last minutes. TMPDIR chooses another.
//
//	go test -run '^$' -bench MemoryMiss -benchtime 15x ./parallel
func BenchmarkMemoryMiss(b *testing.B) {
	const n = 100
	m := &parallel.Memory{Dir: b.TempDir()}
	defer m.Sync()
	work := func(_ context.Context, i int) ([]string, error) {
		for begin := time.Now(); time.Since(begin) < time.Millisecond; {
		}
		return []string{"elephant", "owl", "gopher"}, nil
	}
	cached, i := parallel.Cache(m, "work", "v1", work), 0
	next := func(f func(context.Context, int) ([]string, error)) float64 {
		return timed(n, func() {
			i++
			if got, err := f(b.Context(), i); err != nil || len(got) != 3 {
				b.Fatal(got, err)
			}
		})
	}
	both(b, 1.1, func() float64 { return next(cached) }, func() float64 { return next(work) }, "ns/miss", "function-ns")
	if s := m.Stats(); s.Hits != 0 || s.Unkept != 0 {
		b.Fatalf("%+v; want misses only", s)
	}
}

// BenchmarkHash has an argument of 1 MiB. The peer is SHA-256 of so many bytes.
//
//	go test -run '^$' -bench Hash -benchtime 15x ./parallel
func BenchmarkHash(b *testing.B) {
	const size = 1 << 20
	data := bytes.Repeat([]byte("0123456789abcdef"), size/16)
	numbers := make([]float64, size/8)
	text := string(data)
	for name, v := range map[string]any{"bytes": data, "numbers": numbers, "text": text, "struct": struct {
		Name string
		Data []byte
	}{"a", data}} {
		b.Run(name, func(b *testing.B) {
			both(b, 1.5,
				func() float64 {
					return timed(5, func() {
						if _, err := parallel.Hash(v); err != nil {
							b.Fatal(err)
						}
					})
				}, func() float64 { return timed(5, func() { _ = sha256.Sum256(data) }) }, "ns/hash", "sha256-ns")
		})
	}
}

package executor_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/gofutures/futures/executor"
)

func init() { executor.Register(spoil) }

// spoilt is an argument that may be one that cannot be encoded.
type spoilt struct {
	N    int
	Does string // "fails", "cannot", and "waits" until there is the file Gate, then fails
	Gate string
}

func (s spoilt) MarshalBinary() ([]byte, error) {
	if s.Does == "cannot" {
		if s.Gate != "" {
			_ = os.WriteFile(s.Gate, nil, 0o600)
		}
		return nil, fmt.Errorf("item %d cannot be encoded", s.N)
	}
	return fmt.Appendf(nil, "%d %s %s", s.N, s.Does, s.Gate), nil
}

func (s *spoilt) UnmarshalBinary(b []byte) error {
	words := strings.Split(string(b), " ")
	s.Does, s.Gate = words[1], words[2]
	_, err := fmt.Sscan(words[0], &s.N)
	return err
}

func spoil(_ context.Context, s spoilt) (int, error) {
	switch s.Does {
	case "waits":
		holdUntil(s.Gate)
		return 0, fmt.Errorf("item %d has failed", s.N)
	case "fails":
		return 0, fmt.Errorf("item %d has failed", s.N)
	}
	return 10 * s.N, nil
}

// In a chunk of which some items cannot be encoded, and others fail, each outcome is
// that of its item.
func TestOutcomesOfAChunkOfWhichSomeWereSentAreThoseOfTheItems(t *testing.T) {
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1})
	does := []string{"cannot", "", "fails", "cannot", "", "cannot", "fails", ""}
	var in []spoilt
	for i := range 3 * len(does) {
		in = append(in, spoilt{N: i, Does: does[i%len(does)]})
	}
	for _, size := range []int{2, 5, 8, len(in)} {
		i := 0
		for got, err := range executor.Map(t.Context(), ex, spoil, slices.Values(in), executor.ChunkSize(size)) {
			var want string
			switch in[i].Does {
			case "cannot":
				want = fmt.Sprintf("item %d cannot be encoded", i)
			case "fails":
				want = fmt.Sprintf("item %d has failed", i)
			}
			if want == "" && (err != nil || got != 10*i) || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
				t.Errorf("ChunkSize(%d): item %d is %d, %v; want %d or the error %q", size, i, got, err, 10*i, want)
			}
			i++
		}
		if i != len(in) {
			t.Errorf("ChunkSize(%d): %d outcomes; want %d", size, i, len(in))
		}
	}
}

// The error of MapSlice is that of the lowest index, also if an element behind it that
// cannot be encoded was found before.
func TestMapSliceOfProcessesHasTheErrorOfTheLowestIndex(t *testing.T) {
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 2})
	gate := inDir(t, "gate")
	in := make([]spoilt, 60)
	for i := range in {
		in[i].N = i
	}
	in[5] = spoilt{5, "waits", gate}
	in[20] = spoilt{20, "cannot", gate} // the first of its chunk
	_, err := executor.MapSlice(t.Context(), ex, spoil, in, executor.ChunkSize(10))
	if err == nil || !strings.Contains(err.Error(), "item 5 has failed") || errors.Is(err, context.Canceled) {
		t.Errorf("MapSlice's error is %v; want that of item 5", err)
	}
}

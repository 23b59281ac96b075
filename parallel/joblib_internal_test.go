package parallel

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// answers are joblib's to what cannot be asked from outside: see
// testdata/python/parallel_tables.py.
type answers struct {
	Sizes []sizeRow
	Times []timeRow
}

func readAnswers(t *testing.T) (table answers) {
	t.Helper()
	text, err := os.ReadFile("testdata/joblib.json")
	if err == nil {
		err = json.Unmarshal(text, &table)
	}
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// sizeRow is a sequence of batches, each of the automatic size, with some under
// way at once.
type sizeRow struct {
	underWay int
	seconds  []float64 // that each of them takes
	sizes    []int
	printed  string // "fast,0.0100,2" for each line
}

func (r *sizeRow) UnmarshalJSON(text []byte) error {
	return json.Unmarshal(text, &[]any{&r.underWay, &r.seconds, &r.sizes, &r.printed})
}

func TestAutomaticBatchSizesAreJoblibs(t *testing.T) {
	for _, row := range readAnswers(t).Sizes {
		synctest.Test(t, func(t *testing.T) { row.check(t) })
	}
}

func (r *sizeRow) check(t *testing.T) {
	var out bytes.Buffer
	s := sizer{size: 1, report: newReport(Jobs{N: 2, Verbose: 10, Output: &out}, 0)}
	var sizes []int
	for i := range r.seconds {
		sizes = append(sizes, s.next())
		if ended := i + 1 - r.underWay; ended >= 0 {
			s.ended(sizes[ended], time.Now().Add(-inSeconds(r.seconds[ended])))
		}
	}
	if !slices.Equal(sizes, r.sizes) {
		t.Errorf("%d under way, of %v seconds: sizes %v; want %v", r.underWay, r.seconds, sizes, r.sizes)
	}
	var want strings.Builder
	for _, line := range strings.Fields(r.printed) {
		word := strings.Split(line, ",")
		fmt.Fprintf(&want, "[Parallel(n_jobs=2)]: Batch computation too %s (%ss.) Setting batch_size=%s.\n", word[0], word[1], word[2])
	}
	if out.String() != want.String() {
		t.Errorf("%d under way, of %v seconds: printed\n%swant\n%s", r.underWay, r.seconds, &out, &want)
	}
}

func inSeconds(s float64) time.Duration { return time.Duration(s*1e9 + 0.5) }

type timeRow struct {
	seconds float64
	text    string
}

func (r *timeRow) UnmarshalJSON(text []byte) error {
	return json.Unmarshal(text, &[]any{&r.seconds, &r.text})
}

func TestTimesArePrintedAsJoblibDoes(t *testing.T) {
	for _, row := range readAnswers(t).Times {
		if got := short(inSeconds(row.seconds)); got != row.text {
			t.Errorf("short(%v s) = %q; want %q", row.seconds, got, row.text)
		}
	}
}

package main

import (
	"errors"
	"strings"
	"testing"
)

func TestFiguresHaveThreeDigitsAndAUnit(t *testing.T) {
	for _, c := range []struct {
		unit  unit
		value float64
		want  string
	}{
		{perCall, 0.86, "0.860 ns"},
		{perCall, 12.34, "12.3 ns"},
		{perItem, 999, "999 ns"},
		{perCall, 1000, "1.00 µs"},
		{perCall, 63_100, "63.1 µs"},
		{perCall, 190e6, "190 ms"},
		{perCall, 5e12, "5000 s"},
		{bytesPerCall, 65, "65.0 B"},
		{bytesPerWorker, 5.3 * (1 << 20), "5.30 MiB"},
	} {
		if got := c.unit.format(c.value); got != c.want {
			t.Errorf("%g as %s is %q, want %q", c.value, c.unit, got, c.want)
		}
	}
}

func TestThousandsAreSeparated(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 1_002_003: "1,002,003"} {
		if got := count(n); got != want {
			t.Errorf("count(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestTableSaysWhatIsMetAndWhatIsNot(t *testing.T) {
	goals := make(tally)
	var out strings.Builder
	r := results{
		row: row{
			name: "some row", unit: perCall, maxAllocs: 1,
			goals: map[string]float64{"met": 0.5, "nearly": 0.2, "missed": 0.1, "absent": 1},
		},
		names: []string{"futures", "met", "nearly", "missed", "no goal"},
		costs: [][]cost{
			{{100, 1, 64}, {110, 1, 64}, {90, 1, 64}},
			{uncounted(400), uncounted(400), uncounted(400)},
			{uncounted(400), uncounted(400), uncounted(400)},
			{uncounted(400), uncounted(400), uncounted(400)},
			{{50, 2, 100}, {50, 2, 100}, {50, 2, 100}},
		},
		failed: []error{errors.New("broken: no more")},
	}
	printLine(&out, "", "cost", "spread", "allocs", "bytes", "ours/this", "spread", "goal")
	printRow(&out, r, goals)
	want := `
                                     cost   spread   allocs    bytes  ours/this   spread     goal
some row (time per call)
  futures                          100 ns     20 %     1.00     64.0                      1 alloc met
  met                              400 ns      0 %                        0.250     20 %    0.500 met
  nearly                           400 ns      0 %                        0.250     20 %    0.200 within 1.3
  missed                           400 ns      0 %                        0.250     20 %    0.100 MISSED
  no goal                         50.0 ns      0 %     2.00      100       2.00     20 %
  FAILED: broken: no more
`
	if got := "\n" + out.String(); got != want {
		t.Errorf("got:%s\nwant:%s", got, want)
	}
	if goals[met] != 2 || goals[nearly] != 1 || goals[missed] != 1 || goals[unknown] != 1 {
		t.Errorf("goals: %v; want 2 met, 1 nearly, 1 missed, 1 unknown", goals)
	}
}

func TestSweepHasALineForEachContender(t *testing.T) {
	s := sweep{name: "some sweep", unit: perCall, by: "workers", values: []int{1, 64}, format: count}
	curves := []curve{{"futures", []point{{1, 100}, {64, 150}}}, {"shorter", []point{{64, 2000}}}}
	var out strings.Builder
	printSweep(&out, s, curves)
	want := `
some sweep: time per call, by workers
                                      1         64    max/min
  futures                        100 ns     150 ns       1.50
  shorter                             -    2.00 µs       1.00
`
	if out.String() != want {
		t.Errorf("got:%s\nwant:%s", out.String(), want)
	}
}

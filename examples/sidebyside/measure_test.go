package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestMedianIsTheMiddle(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   float64
	}{
		{[]float64{7}, 7},
		{[]float64{3, 1}, 2},
		{[]float64{9, 1, 5}, 5},
		{[]float64{100, 1, 3, 2}, 2.5},
	} {
		before := slices.Clone(c.values)
		if got := median(c.values); got != c.want || !slices.Equal(before, c.values) {
			t.Errorf("median(%v) = %g, and they are %v; want %g and the same", before, got, c.values, c.want)
		}
	}
}

func TestSpreadIsAPartOfTheMedian(t *testing.T) {
	if got := spread([]float64{8, 12, 10}); got != 0.4 {
		t.Errorf("spread = %g, want 0.4", got)
	}
	if got := spread([]float64{5}); got != 0 {
		t.Errorf("spread of one = %g, want 0", got)
	}
}

func TestRatiosAreThoseOfTheRounds(t *testing.T) {
	r := results{costs: [][]cost{{{value: 1}, {value: 20}}, {{value: 2}, {value: 10}}}}
	if got := r.ratios(1); !slices.Equal(got, []float64{0.5, 2}) {
		t.Errorf("ratios = %v, want [0.5 2]", got)
	}
}

func TestVerdictHasAMargin(t *testing.T) {
	for ratio, want := range map[float64]verdict{0.1: met, 0.2: met, 0.21: nearly, 0.26: nearly, 0.27: missed} {
		if got := judge(ratio, 0.2); got != want {
			t.Errorf("judge(%g, 0.2) = %s, want %s", ratio, got, want)
		}
	}
}

func TestNobodyAlwaysComesBehindTheSame(t *testing.T) {
	const n = 4
	first, before := make(map[int]int), make(map[string]int)
	for round := range 2 * n {
		order := turn(round, n)
		first[order[0]]++
		for i := 1; i < n; i++ {
			before[fmt.Sprint(order[i-1], order[i])]++
		}
		slices.Sort(order)
		if !slices.Equal(order, []int{0, 1, 2, 3}) {
			t.Errorf("round %d has %v", round, order)
		}
	}
	if len(first) != n {
		t.Errorf("only %v have been first", first)
	}
	for pair, times := range before {
		if times > n {
			t.Errorf("%s has come %d times in %d rounds", pair, times, 2*n)
		}
	}
}

// fake is a contender whose costs are given, and which notes its name when it is asked.
func fake(name string, log *[]string, costs ...float64) contender {
	return contender{name, func(context.Context) (leaf, error) {
		next := 0
		return leaf{func(context.Context) (cost, error) {
			if log != nil {
				*log = append(*log, name)
			}
			if next == len(costs) {
				return cost{}, errors.New("no more")
			}
			next++
			return uncounted(costs[next-1]), nil
		}, func() {}}, nil
	}}
}

func TestContendersTakeTurnsAndTheFirstRoundDoesNotCount(t *testing.T) {
	var log []string
	r := row{ours: fake("a", &log, 99, 1, 2), peers: []contender{fake("b", &log, 99, 3, 4)}}
	got, err := measureRow(t.Context(), r, 2)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got.values(0), []float64{1, 2}) || !slices.Equal(got.values(1), []float64{3, 4}) {
		t.Errorf("costs %v; want [1 2] and [3 4]", got.costs)
	}
	if got := strings.Join(log, " "); got != "b a a b b a" {
		t.Errorf("the turns were %s; want b a, a b, b a", got)
	}
}

func TestPeerThatFailsIsLeftOut(t *testing.T) {
	r := row{ours: fake("a", nil, 1, 1, 1), peers: []contender{fake("b", nil, 2), fake("c", nil, 3, 3, 3)}}
	got, err := measureRow(t.Context(), r, 2)
	if err != nil || !slices.Equal(got.names, []string{"a", "c"}) || len(got.costs) != 2 {
		t.Errorf("%v, %v; want a and c", got.names, err)
	}
	if len(got.failed) != 1 || got.failed[0].Error() != "b: no more" {
		t.Errorf("failed: %v; want b: no more", got.failed)
	}
}

func TestRowFailsWithThisLibrary(t *testing.T) {
	r := row{ours: fake("a", nil, 1), peers: []contender{fake("b", nil, 2, 2, 2)}}
	if _, err := measureRow(t.Context(), r, 2); err == nil || err.Error() != "a: no more" {
		t.Errorf("err = %v, want a: no more", err)
	}
}

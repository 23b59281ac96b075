package main

import (
	"fmt"
	"slices"
	"testing"
)

var (
	allPools = []poolKind{ourPool, ourHelpedPool, pondPool, antsPool, concPool, workerPool, errGroup, goroutines, goAndChannel, channelFutures}
	allMaps  = []mapKind{ourPoolMap, ourParallelMap, ourHelpedMapSlice, ourHelpedPoolMap, pondMap, antsMap, concMap, plainLoop, chunkedErrgroup, chunkedErrgroupIn, errgroupMap}
)

func TestEachPoolGivesTheRightResults(t *testing.T) {
	items := slices.Concat(itemsOf(1000, 0), skewed(200, 10, false))
	for _, k := range allPools {
		for _, workers := range []int{1, 2, 7} {
			t.Run(fmt.Sprintf("%s/%d", k.name, workers), func(t *testing.T) {
				p, err := k.open(workers)
				if err != nil {
					t.Fatal(err)
				}
				defer p.close()
				check := checkResults
				if _, ok := p.(unorderedPool); ok {
					check = checkUnordered
				}
				for _, producers := range []int{1, 8} {
					for range 2 { // what it keeps does no harm
						out := make([]int64, len(items))
						if err := p.run(items, out, producers); err != nil {
							t.Fatal(err)
						}
						if err := check(items, out); err != nil {
							t.Errorf("%d producers: %v", producers, err)
						}
					}
				}
				if v, err := p.one(41); v != 42 || err != nil {
					t.Errorf("one = %d, %v; want 42, nil", v, err)
				}
			})
		}
	}
}

func TestPoolsThatPileUpCallsMakeThemWhenTheGateOpens(t *testing.T) {
	items := itemsOf(500, 0)
	for _, k := range allPools {
		p, err := k.open(2)
		if err != nil {
			t.Fatal(err)
		}
		defer p.close()
		piling, ok := p.(pilingPool)
		if !ok {
			continue
		}
		out, gate := make([]int64, len(items)), make(chan struct{})
		wait := piling.pile(items, out, gate)
		close(gate)
		if err := wait(); err != nil {
			t.Errorf("%s: %v", k.name, err)
		}
		if err := checkResults(items, out); err != nil {
			t.Errorf("%s: %v", k.name, err)
		}
	}
}

func TestEachMapGivesTheRightResults(t *testing.T) {
	for _, k := range allMaps {
		for _, workers := range []int{1, 2, 7} {
			m, err := k.open(workers)
			if err != nil {
				t.Fatal(err)
			}
			defer m.close()
			for _, n := range []int{1, 5, 1001} {
				items := itemsOf(n, 3)
				for _, f := range []function{cheap, working} {
					out, err := m.do(items, f)
					if err == nil {
						err = checkResults(items, out)
					}
					if err != nil {
						t.Errorf("%s of %d items, %d workers: %v", k.name, n, workers, err)
					}
				}
			}
		}
	}
}

func TestWrongResultsAreSeen(t *testing.T) {
	items := itemsOf(3, 0)
	for _, c := range []struct {
		results            []int64
		ordered, unordered bool
	}{
		{[]int64{1, 2, 3}, true, true},
		{[]int64{3, 2, 1}, false, true},
		{[]int64{1, 2, 4}, false, false},
		{[]int64{1, 2}, false, false},
		{[]int64{0, 0, 0}, false, false},
	} {
		if err := checkResults(items, c.results); (err == nil) != c.ordered {
			t.Errorf("checkResults of %v: %v", c.results, err)
		}
		if err := checkUnordered(items, c.results); (err == nil) != c.unordered {
			t.Errorf("checkUnordered of %v: %v", c.results, err)
		}
	}
}

func TestSkewedItemsAreAHundredthOfAll(t *testing.T) {
	for _, last := range []bool{false, true} {
		long := 0
		for i, x := range skewed(1000, 7, last) {
			switch steps := x >> stepShift; {
			case steps == 700:
				long++
				if last && i < 990 {
					t.Errorf("item %d is long; want the last ones", i)
				}
			case steps != 7:
				t.Errorf("item %d has %d steps", i, steps)
			}
		}
		if long != 10 {
			t.Errorf("%d long items of 1000, want 10", long)
		}
	}
}

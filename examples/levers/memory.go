package main

import (
	"runtime/metrics"
	"sync"
	"time"
)

// gauge measures the peak of the memory that a lever needs.
type gauge struct {
	head  string                      // what it measures: the head of the column
	start func() (peak func() uint64) // peak is called once, at the end; 0: not known
}

// newGauge returns the best gauge that there is here.
func newGauge() gauge {
	if resetPeak() != nil {
		return gauge{"peak memory (this process, Go runtime, sampled)", sampledPeak}
	}
	if _, err := children(); err != nil {
		return gauge{"peak memory (this process, resident)", residentPeak}
	}
	return gauge{"peak memory (resident, with workers)", residentPeakOfAll}
}

// residentPeak lets the kernel watch.
func residentPeak() (peak func() uint64) {
	if resetPeak() != nil {
		return func() uint64 { return 0 } // better none than that of the lever before
	}
	return func() uint64 { return readPeak("self") }
}

// residentPeakOfAll adds the peaks of the worker processes. The kernel forgets
// the peak of a process that has ended, so each is read again and again, and at the
// end: what a worker took in the last moment of its life may be missed. The sum is at least
// the peak of the sum.
func residentPeakOfAll() (peak func() uint64) {
	own := residentPeak()
	workers := make(map[string]uint64) // by process number
	visit := func() {
		pids, _ := children()
		for _, pid := range pids {
			workers[pid] = max(workers[pid], readPeak(pid))
		}
	}
	stop := every(visitEvery, visit)
	return func() uint64 {
		stop()
		visit()
		sum := own()
		for _, peak := range workers {
			sum += peak
		}
		return sum
	}
}

// sampledPeak looks at the memory of the Go runtime again and again.
func sampledPeak() (peak func() uint64) {
	highest := goMemory()
	stop := every(sampleEvery, func() { highest = max(highest, goMemory()) })
	return func() uint64 {
		stop()
		return max(highest, goMemory())
	}
}

// How often a look is taken. One at the Go runtime costs some microseconds, one
// at the worker processes a third of a millisecond.
const (
	sampleEvery = 5 * time.Millisecond
	visitEvery  = 25 * time.Millisecond
)

// every calls look again and again, on a goroutine that has ended when stop
// returns.
func every(interval time.Duration, look func()) (stop func()) {
	stopped := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		tick := time.NewTicker(interval)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				look()
			case <-stopped:
				return
			}
		}
	})
	return func() {
		close(stopped)
		watching.Wait()
	}
}

// goMemory returns the bytes that the Go runtime has of the system: what it has
// mapped, without what it has given back.
func goMemory() uint64 {
	s := []metrics.Sample{
		{Name: "/memory/classes/total:bytes"},
		{Name: "/memory/classes/heap/released:bytes"},
	}
	metrics.Read(s)
	return s[0].Value.Uint64() - s[1].Value.Uint64()
}

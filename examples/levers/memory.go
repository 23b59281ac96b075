package main

import (
	"runtime/metrics"
	"sync"
	"time"
)

// gauge measures the peak of this process's memory.
type gauge struct {
	head  string                      // what it measures: the head of the column
	start func() (peak func() uint64) // peak is called once, at the end; 0: not known
}

// newGauge returns the best gauge that there is here.
func newGauge() gauge {
	if resetPeak() == nil {
		return gauge{"peak memory (resident)", residentPeak}
	}
	return gauge{"peak memory (Go runtime, sampled)", sampledPeak}
}

// residentPeak lets the kernel watch.
func residentPeak() (peak func() uint64) {
	if resetPeak() != nil {
		return func() uint64 { return 0 } // better none than that of the lever before
	}
	return readPeak
}

// sampleEvery is how often sampledPeak looks. A look costs some microseconds.
const sampleEvery = 5 * time.Millisecond

// sampledPeak looks at the memory of the Go runtime again and again, on a
// goroutine that has ended when peak returns.
func sampledPeak() (peak func() uint64) {
	stop := make(chan struct{})
	highest := goMemory()
	var watching sync.WaitGroup
	watching.Go(func() {
		tick := time.NewTicker(sampleEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				highest = max(highest, goMemory())
			case <-stop:
				return
			}
		}
	})
	return func() uint64 {
		close(stop)
		watching.Wait()
		return max(highest, goMemory())
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

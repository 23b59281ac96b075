package parallel

import (
	"fmt"
	"io"
	"math"
	"os"
	"time"
)

// report tells how far a run is: in joblib's lines, at the moments at which joblib
// prints them, and to a Progress. Only the goroutine of the run uses it.
type report struct {
	verbose  int
	n        int // as it was asked for
	output   io.Writer
	progress func(Stats)

	began       time.Time
	preDispatch int // 0: all
	total       int // 0: not known before the source has ended
	batches     int // that were sent
	sent        int // calls
	done        int
	failed      int
	hasEnded    bool // the source has
	told        int  // the last Total that Progress was told
}

func newReport(j Jobs, preDispatch, total int) *report {
	r := &report{verbose: j.Verbose, n: j.N, output: j.Output, progress: j.Progress, preDispatch: preDispatch, total: total}
	if r.output == nil {
		r.output = os.Stderr
		if r.verbose >= 50 {
			r.output = os.Stdout
		}
	}
	return r
}

func (r *report) printf(format string, args ...any) {
	fmt.Fprintf(r.output, "[Parallel(n_jobs=%d)]: %s\n", r.n, fmt.Sprintf(format, args...))
}

// begin is for the beginning of a run.
func (r *report) begin(backend string, workers int) {
	r.began = time.Now()
	if r.verbose > 0 {
		r.printf("Using backend %s with %d concurrent workers.", backend, workers)
	}
	r.tell()
}

// send is for a batch that is sent.
func (r *report) send(calls int) {
	r.batches++
	r.sent += calls
}

// end is for a batch that has ended.
func (r *report) end(calls, failed int) {
	r.done += calls
	r.failed += failed
	if r.verbose > 0 {
		r.print(r.done == calls)
	}
	r.tell()
}

// noMore is for the end of the source.
func (r *report) noMore() { r.hasEnded = true }

// finish is for the end of a run that has made all calls.
func (r *report) finish() {
	if r.told == 0 && r.done > 0 {
		r.tell() // with a Total
	}
	if r.verbose > 0 {
		r.printf("Done %3d out of %3d | elapsed: %s finished", r.done, r.done, short(time.Since(r.began)))
	}
}

// batchSize is for a change of the size of batches.
func (r *report) batchSize(pace string, seconds float64, size int) {
	if r.verbose >= 10 {
		r.printf("Batch computation too %s (%.4fs.) Setting batch_size=%d.", pace, seconds, size)
	}
}

// print prints a line, or leaves it out, as joblib does, which finds out that the
// source has ended when a batch has.
func (r *report) print(isFirst bool) {
	elapsed := time.Since(r.began)
	if isCounted := r.preDispatch == 0 || r.hasEnded && !isFirst; !isCounted {
		if !isLeftOut(r.batches, r.verbose) {
			r.printf("Done %3d tasks      | elapsed: %s", r.done, short(elapsed))
		}
		return
	}
	toGo := r.sent - r.done
	if (toGo+1-r.preDispatch)%(r.sent/r.verbose+1) != 0 || toGo == 1 {
		return
	}
	remaining := time.Duration(float64(elapsed) / float64(r.done) * float64(toGo))
	r.printf("Done %3d out of %3d | elapsed: %s remaining: %s", r.done, r.sent, short(elapsed), short(remaining))
}

// isLeftOut reports whether there is no line after so many batches: the more there
// were, the fewer lines there are.
func isLeftOut(batches, verbose int) bool {
	if verbose > 10 || batches == 0 {
		return false
	}
	step := 0.5 * float64((11-verbose)*(11-verbose))
	return int(math.Sqrt(float64(batches)/step)) == int(math.Sqrt(float64(batches+1)/step))
}

// short is how joblib prints a time.
func short(d time.Duration) string {
	if d > time.Minute {
		return fmt.Sprintf("%4.1fmin", d.Minutes())
	}
	return fmt.Sprintf(" %5.1fs", d.Seconds())
}

// tell calls the Progress.
func (r *report) tell() {
	if r.progress == nil {
		return
	}
	s := Stats{Done: r.done, Failed: r.failed, Total: r.total, Elapsed: time.Since(r.began)}
	if s.Total == 0 && r.hasEnded {
		s.Total = r.sent
	}
	if seconds := s.Elapsed.Seconds(); seconds > 0 {
		s.Rate = float64(s.Done) / seconds
	}
	if s.Total > 0 && s.Rate > 0 {
		s.Remaining = time.Duration(float64(s.Total-s.Done) / s.Rate * float64(time.Second))
	}
	r.told = s.Total
	r.progress(s)
}

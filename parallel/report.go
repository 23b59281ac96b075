package parallel

import (
	"fmt"
	"io"
	"math"
	"os"
	"time"
)

// report tells how far a run is: in lines of joblib's form, and to a Progress. Only the
// goroutine of the run uses it.
//
// Which batches have a line depends on how many have ended and on nothing else, so that
// none is missing and none comes twice, whichever end at the same time. (joblib counts
// those that were sent.) The line of the last batch is the one that says "finished":
// if the source has not ended yet, a batch after which nothing is under way may be
// the last, and its line waits until another batch is sent.
type report struct {
	verbose  int
	n        int // as it was asked for
	output   io.Writer
	progress func(Stats)

	began    time.Time
	total    int // 0: not known before the source has ended
	sent     int // calls
	done     int
	seen     int // that had ended in all, also in batches that had not, when somebody looked
	failed   int
	batches  int    // that have ended
	hasEnded bool   // the source has
	told     int    // the last Total that Progress was told
	waiting  string // the line of what may be the last batch
}

func newReport(j Jobs, total int) *report {
	r := &report{verbose: j.Verbose, n: j.N, output: j.Output, progress: j.Progress, total: total}
	if r.output == nil {
		r.output = os.Stderr
		if r.verbose >= 50 {
			r.output = os.Stdout
		}
	}
	return r
}

func (r *report) printf(format string, args ...any) {
	r.flush()
	_, _ = io.WriteString(r.output, r.line(format, args...))
}

func (r *report) line(format string, args ...any) string {
	return fmt.Sprintf("[Parallel(n_jobs=%d)]: %s\n", r.n, fmt.Sprintf(format, args...))
}

// flush prints the line that waits, if one does.
func (r *report) flush() {
	if r.waiting != "" {
		_, _ = io.WriteString(r.output, r.waiting)
		r.waiting = ""
	}
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
	r.flush()
	r.sent += calls
}

// end is for a batch that has ended.
func (r *report) end(calls, failed int) {
	r.flush()
	r.done += calls
	r.failed += failed
	if r.batches++; !isLeftOut(r.batches, r.verbose) {
		r.print()
	}
	r.tell()
}

// look is for calls that have ended in batches that have not.
func (r *report) look(calls int) {
	if n := r.done + calls; n > max(r.seen, r.done) {
		r.seen = n
		r.tell()
	}
}

// noMore is for the end of the source.
func (r *report) noMore() { r.hasEnded = true }

// finish is for the end of a run that has made all calls.
func (r *report) finish() {
	if r.told == 0 && r.done > 0 {
		r.tell() // with a Total
	}
	r.waiting = ""
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

// knownTotal returns how many calls there are, 0 if that is not known yet.
func (r *report) knownTotal() int {
	if r.total == 0 && r.hasEnded {
		return r.sent
	}
	return r.total
}

// print prints the line of a batch that has ended, unless it is the last.
func (r *report) print() {
	elapsed := time.Since(r.began)
	switch total := r.knownTotal(); {
	case total > 0 && r.done == total:
	case total > 0:
		remaining := time.Duration(float64(elapsed) / float64(r.done) * float64(total-r.done))
		r.printf("Done %3d out of %3d | elapsed: %s remaining: %s", r.done, total, short(elapsed), short(remaining))
	default:
		r.waiting = r.line("Done %3d tasks      | elapsed: %s", r.done, short(elapsed))
		if r.done < r.sent {
			r.flush()
		}
	}
}

// isLeftOut reports whether there is no line after so many batches. Above 10 there is
// one for each; else, by joblib's formula, the more there were the fewer there are.
func isLeftOut(batches, verbose int) bool {
	if verbose == 0 || verbose > 10 {
		return verbose == 0
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
	s := Stats{Done: max(r.done, r.seen), Failed: r.failed, Total: r.knownTotal(), Elapsed: time.Since(r.began)}
	if seconds := s.Elapsed.Seconds(); seconds > 0 {
		s.Rate = float64(s.Done) / seconds
	}
	if s.Total > 0 && s.Rate > 0 {
		s.Remaining = time.Duration(float64(s.Total-s.Done) / s.Rate * float64(time.Second))
	}
	r.told = s.Total
	r.progress(s)
}

package executor

// SentAndWaiting returns, for the tests outside the package, how many calls the
// worker has that was sent the most, how many all workers have, and how many wait
// in this process.
func SentAndWaiting(ex *ProcessPoolExecutor) (most, sent, waiting int) {
	workers := ex.inside().theWorkers()
	if workers == nil {
		return 0, 0, 0
	}
	v := workers.Inventory()
	return v.MostSent, v.Sent, v.Waiting
}

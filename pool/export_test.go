package pool

import "time"

// Patient lets Terminate of p wait as long as patience for functions that cannot be
// ended, for tests of which its second is not the subject.
func Patient(p *Pool, patience time.Duration) *Pool {
	if p.patience > 0 {
		p.patience = patience
	}
	return p
}

// Awaited returns the number of jobs for which Close of p would wait.
func Awaited(p *Pool) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.awaited
}

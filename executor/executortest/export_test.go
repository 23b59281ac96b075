package executortest

import "github.com/gofutures/futures/executor"

// Promises returns the names of all promises.
func Promises() []string {
	var says []string
	for _, p := range promises {
		says = append(says, p.says)
	}
	return says
}

// Judge checks one promise and returns what Run would report.
func Judge(says string, open func(int) executor.Executor, dir string) (failures []string, skipped string) {
	inline, v := probe(open, dir, patience)
	if len(v.failures) > 0 {
		return v.failures, ""
	}
	for _, p := range promises {
		if p.says == says {
			v := p.judge(open, dir, inline, patience)
			return v.failures, v.skipped
		}
	}
	panic("no such promise: " + says)
}

// Package executor is Python's concurrent.futures for Go.
package executor

package main

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/gofutures/futures/executor"
)

// outcome is what came of a program.
type outcome struct {
	name string
	kind string
	what string // in one line
	took time.Duration
	err  error // nil if it was good
}

// The kinds of outcome. All but the first are bad.
const (
	good       = "result"
	failed     = "error"
	panicked   = "panic"
	timedOut   = "timeout"
	overMemory = "memory"
	overflowed = "stack overflow"
	segfault   = "segfault"
	crashed    = "crash"
	exited     = "exit"
	killed     = "signal"
)

// judge says what came of a call.
func judge(result string, err error, l limits) (kind, what string) {
	var died *executor.WorkerDiedError
	var p *executor.PanicError
	switch {
	case err == nil:
		return good, result
	case errors.As(err, &died):
		return judgeDeath(died, l)
	case errors.As(err, &p):
		return panicked, fmt.Sprint(p.Value) + in(place(string(p.Stack)))
	case errors.Is(err, context.DeadlineExceeded):
		return timedOut, fmt.Sprintf("had no worker after %v", l.timeout)
	}
	return failed, err.Error()
}

// judgeDeath says what a worker process died of.
func judgeDeath(died *executor.WorkerDiedError, l limits) (kind, what string) {
	isEnded := errors.Unwrap(died) != nil // by the pool
	switch {
	case errors.Is(died, context.DeadlineExceeded):
		return timedOut, fmt.Sprintf("still running after %v", l.timeout) + in(place(died.Stderr))
	case died.OutOfMemory && isEnded:
		return overMemory, fmt.Sprintf("needed more than %d MiB", l.memory>>20)
	case died.OutOfMemory:
		return overMemory, "the system had no more"
	case died.Signal != nil:
		return killed, died.Signal.String()
	case isEnded:
		return crashed, errors.Unwrap(died).Error()
	}
	return judgeReport(died)
}

// judgeReport says what the Go runtime reported when it ended a process, if it
// did.
func judgeReport(died *executor.WorkerDiedError) (kind, what string) {
	where := in(place(died.Stderr))
	if lineAt(died.Stderr, "fatal error: stack overflow") != "" {
		return overflowed, fmt.Sprintf("needed more than %d MiB of stack", maxStack>>20) + where
	}
	if violation := lineAt(died.Stderr, "[signal SIGSEGV: "); violation != "" {
		_, address, _ := strings.Cut(violation, "addr=")
		address, _, _ = strings.Cut(address, " ")
		return segfault, "no memory at " + address + where
	}
	for _, beginning := range []string{"fatal error: ", "panic: "} {
		if line := lineAt(died.Stderr, beginning); line != "" {
			return crashed, line + where
		}
	}
	return exited, fmt.Sprintf("code %d", died.ExitCode)
}

// lineAt returns the first line that begins so, or "".
func lineAt(text, beginning string) string {
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, beginning) {
			return strings.TrimSpace(line)
		}
	}
	return ""
}

// in returns a place as the end of a sentence.
func in(place string) string {
	if place == "" {
		return ""
	}
	return ", in " + place
}

// place returns where the interpreter was, of the stacks of goroutines: of the
// first one that is in it, its innermost function, and what it waits for, if it
// does.
func place(stacks string) string {
	for stack := range strings.SplitSeq(stacks, "\n\n") {
		if strings.HasPrefix(stack, "goroutine 1 ") {
			continue // is in WorkerMain
		}
		lines := strings.Split(stack, "\n")
		for i, line := range lines[:len(lines)-1] {
			function, ok := strings.CutPrefix(line, here)
			if args := strings.LastIndexByte(function, '('); ok && args >= 0 {
				return function[:args] + at(lines[i+1]) + waitsFor(lines)
			}
		}
	}
	return ""
}

// here is how the names of the functions of this package begin.
var here = strings.TrimSuffix(runtime.FuncForPC(reflect.ValueOf(interpret).Pointer()).Name(), "interpret")

// at returns the file and the line of a frame, as in " (reach.go:40)".
func at(frame string) string {
	file, _, _ := strings.Cut(strings.TrimSpace(frame), " ")
	return " (" + file[strings.LastIndexByte(file, '/')+1:] + ")"
}

// waitsFor returns what a goroutine waits for, of the head of its stack, as in
// "goroutine 7 [sync.Mutex.Lock]:".
func waitsFor(stack []string) string {
	for _, line := range stack {
		_, state, ok := strings.Cut(line, "[")
		if !ok || !strings.HasPrefix(line, "goroutine ") {
			continue
		}
		state, _, _ = strings.Cut(state, "]")
		if strings.HasPrefix(state, "run") { // running, runnable
			return ""
		}
		return ", which waits: " + state
	}
	return ""
}

// oneLine returns text as something that a line of a terminal can take.
func oneLine(text string) string {
	const long = 100
	text = strings.TrimSpace(text)
	if !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
		text = strconv.Quote(text)
	}
	if utf8.RuneCountInString(text) > long {
		text = string([]rune(text)[:long-1]) + "…"
	}
	return text
}

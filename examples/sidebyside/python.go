package main

import (
	"bufio"
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// CPython: concurrent.futures.ProcessPoolExecutor, multiprocessing.Pool and joblib,
// each in an interpreter of its own, which has the script and measures itself.

//go:embed bench.py
var script []byte

const (
	pythonExecutor = "ProcessPoolExecutor"
	pythonPool     = "multiprocessing.Pool"
	pythonJoblib   = "joblib"
)

// pythonKinds are the names of the contenders, and what the script calls them.
var pythonKinds = []struct{ name, kind string }{
	{pythonExecutor, "executor"},
	{pythonPool, "pool"},
	{pythonJoblib, "joblib"},
}

// pythons are the interpreters that run.
type pythons struct {
	command string
	folder  string // of the script
	running map[string]*python
	missing map[string]string // why a contender is not there
}

// startPythons starts an interpreter for each contender. It does not fail: what is
// not installed is missing.
func startPythons(ctx context.Context, command string) *pythons {
	ps := &pythons{command: command, running: make(map[string]*python), missing: make(map[string]string)}
	err := errors.New("-python is empty")
	if command != "" {
		err = ps.writeScript()
	}
	for _, k := range pythonKinds {
		p := (*python)(nil)
		if err == nil {
			p, err = startPython(ctx, command, filepath.Join(ps.folder, "bench.py"), k.kind)
		}
		if err != nil {
			ps.missing[k.name] = err.Error()
			var absent *absentError
			if errors.As(err, &absent) {
				err = nil // the next one may be there
			}
			continue
		}
		ps.running[k.name] = p
	}
	return ps
}

func (ps *pythons) writeScript() (err error) {
	if ps.folder, err = os.MkdirTemp("", "sidebyside-*"); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(ps.folder, "bench.py"), script, 0o600)
}

// version says what the interpreters are.
func (ps *pythons) version() string {
	text := "none"
	for _, k := range pythonKinds {
		if p := ps.running[k.name]; p != nil {
			text = p.version // the last has the most to say
		}
	}
	return text
}

// close ends the interpreters and waits for them.
func (ps *pythons) close() {
	var closing sync.WaitGroup
	for _, p := range ps.running {
		closing.Go(p.close)
	}
	closing.Wait()
	if ps.folder != "" {
		_ = os.RemoveAll(ps.folder)
	}
}

// python is an interpreter that runs the script.
type python struct {
	cmd     *exec.Cmd
	in      io.WriteCloser
	out     *os.File
	lines   *bufio.Reader // of out
	stderr  bytes.Buffer  // read when it has ended
	version string
	ended   chan struct{} // closed when it has been waited for
}

// An order is what the script is to do.
type order struct {
	Work    string `json:"work"`
	Workers int    `json:"workers"`
	N       int    `json:"n"`
	Arg     int    `json:"arg"` // the nanoseconds of a call, or the bytes of an argument
}

type answer struct {
	Value   float64 `json:"value"`
	Version string  `json:"version"`
	Error   string  `json:"error"`
}

// An absentError says that the interpreter works and a library is not installed.
type absentError struct{ text string }

func (e *absentError) Error() string { return e.text }

func startPython(ctx context.Context, command, path, kind string) (*python, error) {
	p := &python{cmd: exec.Command(command, path, kind), ended: make(chan struct{})}
	p.cmd.Stderr = &p.stderr
	p.cmd.WaitDelay = time.Second // a worker that is left over may hold stderr
	ownGroup(p.cmd)
	in, err := p.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, stdout, err := os.Pipe() // not StdoutPipe, which Wait closes: the last line may still be there
	if err != nil {
		return nil, err
	}
	defer stdout.Close()
	p.in, p.out, p.lines, p.cmd.Stdout = in, out, bufio.NewReader(out), stdout
	if err := p.cmd.Start(); err != nil {
		_ = out.Close()
		return nil, err
	}
	go p.wait()
	hello, err := p.read(ctx)
	if err == nil && hello.Error != "" {
		p.close()
		err = &absentError{hello.Error}
	}
	p.version = hello.Version
	return p, err
}

// wait waits for the interpreter, until close or explain has seen it end.
func (p *python) wait() {
	_ = p.cmd.Wait()
	_ = p.out.SetReadDeadline(time.Now().Add(time.Second)) // workers that are left over may hold its other end
	close(p.ended)
}

// ask has the script do its work once, and returns what it has measured.
func (p *python) ask(ctx context.Context, o order) (float64, error) {
	if err := json.NewEncoder(p.in).Encode(o); err != nil {
		return 0, p.explain(ctx, err)
	}
	a, err := p.read(ctx)
	if err == nil && a.Error != "" {
		err = errors.New(a.Error)
	}
	return a.Value, err
}

// read returns the next answer. It ends the interpreter if ctx ends.
func (p *python) read(ctx context.Context) (a answer, err error) {
	stop := context.AfterFunc(ctx, p.close)
	defer stop()
	line, err := p.lines.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &a)
	}
	if err != nil {
		return a, p.explain(ctx, err)
	}
	return a, nil
}

// explain returns the error of an interpreter that does not answer, which it ends.
func (p *python) explain(ctx context.Context, err error) error {
	p.close()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	lines := strings.Split(strings.TrimSpace(p.stderr.String()), "\n")
	return fmt.Errorf("%s does not answer: %w: %s: %s", p.cmd.Path, err, p.cmd.ProcessState, lines[len(lines)-1])
}

// patience is how long an interpreter may take to end when its input has.
const patience = 2 * time.Second

// close ends the interpreter and its workers, and waits for it. It may be called again.
func (p *python) close() {
	_ = p.in.Close()
	select {
	case <-p.ended:
	case <-time.After(patience):
		killGroup(p.cmd)
		<-p.ended
	}
	_ = p.out.Close()
}

// contender is what an order costs with a contender. The label tells two orders of a
// row apart.
func (ps *pythons) contender(kind, label string, o order) contender {
	return contender{kind + label, func(context.Context) (leaf, error) {
		p := ps.running[kind]
		return leaf{func(ctx context.Context) (cost, error) {
			value, err := p.ask(ctx, o)
			return uncounted(value), err
		}, func() {}}, nil
	}}
}

// all returns the contenders that are there, with the same order for each.
func (ps *pythons) all(label string, o order) (cs []contender) {
	for _, k := range pythonKinds {
		if ps.running[k.name] != nil {
			cs = append(cs, ps.contender(k.name, label, o))
		}
	}
	return cs
}

// fresh returns the contenders that are there, each measure of which is made by an
// interpreter that has done nothing before: its workers are copies of it.
func (ps *pythons) fresh(o order) (cs []contender) {
	for _, k := range pythonKinds {
		if ps.running[k.name] == nil {
			continue
		}
		cs = append(cs, contender{k.name, func(context.Context) (leaf, error) {
			return leaf{func(ctx context.Context) (cost, error) {
				p, err := startPython(ctx, ps.command, filepath.Join(ps.folder, "bench.py"), k.kind)
				if err != nil {
					return cost{}, err
				}
				defer p.close()
				value, err := p.ask(ctx, o)
				return uncounted(value), err
			}, func() {}}, nil
		}})
	}
	return cs
}

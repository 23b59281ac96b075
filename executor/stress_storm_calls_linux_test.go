package executor_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/gofutures/futures/executor"
)

// stormLedgerEnv names the ledger in the environment of the workers, by which
// the test also knows its workers.
const stormLedgerEnv = "FUTURES_STORM_LEDGER"

func init() {
	executor.Register(stormTiny)
	executor.Register(stormShort)
	executor.Register(stormLong)
	executor.Register(stormMixed)
	executor.Register(stormBig)
	executor.Register(stormMeet)
}

// stormTask is the argument of a call of the storm.
type stormTask struct {
	ID     int
	Nonce  uint64
	Micros int    // that it takes
	End    string // of the worker: "", "exit", or "exit once", whatever the attempt
}

// stormReply is its result.
type stormReply struct {
	ID    int
	Nonce uint64
	PID   int
}

// The functions differ in how long their calls take, which is what decides how
// far calls are sent ahead.
func stormTiny(_ context.Context, c stormTask) (stormReply, error)  { return c.make() }
func stormShort(_ context.Context, c stormTask) (stormReply, error) { return c.make() }
func stormLong(_ context.Context, c stormTask) (stormReply, error)  { return c.make() }
func stormMixed(_ context.Context, c stormTask) (stormReply, error) { return c.make() }

func (c stormTask) make() (stormReply, error) {
	if err := c.record("START"); err != nil {
		return stormReply{}, err
	}
	if c.mustExit() {
		_ = c.record("EXIT")
		os.Exit(stormExitCode)
	}
	switch d := time.Duration(c.Micros) * time.Microsecond; {
	case d >= time.Millisecond:
		time.Sleep(d)
	default:
		for begin := time.Now(); time.Since(begin) < d; {
		}
	}
	return stormReply{c.ID, c.Nonce, os.Getpid()}, c.record("END")
}

const stormExitCode = 7

func (c stormTask) mustExit() bool {
	switch c.End {
	case "exit":
		return true
	case "exit once":
		return os.Mkdir(fmt.Sprintf("%s.exit.%d", os.Getenv(stormLedgerEnv), c.ID), 0o700) == nil
	}
	return false
}

var stormLedger = sync.OnceValues(func() (*os.File, error) {
	return os.OpenFile(os.Getenv(stormLedgerEnv), os.O_APPEND|os.O_WRONLY, 0)
})

// record appends an event to the ledger in one write, so that those of several
// workers do not mix.
func (c stormTask) record(event string) error {
	f, err := stormLedger()
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "%s %d %d %d\n", event, c.ID, os.Getpid(), c.Nonce)
	return err
}

// stormBig has an argument and a result that go through shared memory.
func stormBig(_ context.Context, in []byte) ([]byte, error) {
	c := stormTask{ID: int(binary.LittleEndian.Uint64(in)), Nonce: binary.LittleEndian.Uint64(in[8:])}
	if !bytes.Equal(in, c.bigArgument()) {
		return nil, fmt.Errorf("call %d got an argument that was not its own", c.ID)
	}
	_, err := c.make()
	return c.bigResult(os.Getpid()), err
}

func (c stormTask) big(fill byte) []byte {
	b := bytes.Repeat([]byte{fill + byte(c.Nonce)}, 1<<20+c.ID%5000)
	binary.LittleEndian.PutUint64(b, uint64(c.ID))
	binary.LittleEndian.PutUint64(b[8:], c.Nonce)
	return b
}

func (c stormTask) bigArgument() []byte { return c.big(1) }

func (c stormTask) bigResult(pid int) []byte {
	b := c.big(2)
	binary.LittleEndian.PutUint64(b[len(b)-8:], uint64(pid))
	return b
}

// parseBig returns what a result of stormBig says, an error if it is torn.
func (c stormTask) parseBig(b []byte) (stormReply, error) {
	if len(b) < 24 {
		return stormReply{}, fmt.Errorf("a big result of %d bytes", len(b))
	}
	pid := int(binary.LittleEndian.Uint64(b[len(b)-8:]))
	if !bytes.Equal(b, c.bigResult(pid)) {
		return stormReply{}, errors.New("a big result is torn, or that of another call")
	}
	return stormReply{c.ID, c.Nonce, pid}, nil
}

// stormMeet returns when n calls of it run at the same time in n workers.
func stormMeet(ctx context.Context, n int) (int, error) {
	dir := os.Getenv(stormLedgerEnv) + ".meet"
	if err := os.WriteFile(fmt.Sprintf("%s/%d", dir, os.Getpid()), nil, 0o600); err != nil {
		return 0, err
	}
	for {
		if all, err := os.ReadDir(dir); err != nil || len(all) >= n {
			return os.Getpid(), err
		}
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		time.Sleep(time.Millisecond)
	}
}

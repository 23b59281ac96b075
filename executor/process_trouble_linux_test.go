package executor_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/gofutures/futures/executor"
)

func init() {
	executor.Register(blastArg)
	executor.Register(blastResult)
}

// blast is a value that is trouble on its way: where it says so, it panics,
// exits or fails.
type blast struct{ where, how string }

func (b blast) act(here string) error {
	if b.where != here {
		return nil
	}
	switch b.how {
	case "panic":
		panic("blast")
	case "exit":
		os.Exit(6)
	}
	return errors.New("blast: " + b.how)
}

// blastIn is the argument, blastOut the result.
type blastIn struct{ blast }

func (b blastIn) MarshalBinary() ([]byte, error) {
	return []byte(b.where + "\n" + b.how), b.act("encode the argument")
}

func (b *blastIn) UnmarshalBinary(data []byte) error {
	b.where, b.how, _ = strings.Cut(string(data), "\n")
	return b.act("decode the argument")
}

type blastOut struct{ blast }

func (b blastOut) MarshalBinary() ([]byte, error) {
	return []byte(b.where + "\n" + b.how), b.act("encode the result")
}

func (b *blastOut) UnmarshalBinary(data []byte) error {
	b.where, b.how, _ = strings.Cut(string(data), "\n")
	return b.act("decode the result")
}

func blastArg(_ context.Context, b blastIn) (int, error) { return 1, b.act("run") }

func blastResult(_ context.Context, b blastIn) (blastOut, error) { return blastOut(b), b.act("run") }

// Whatever a value does on its way, the call has a typed error, and the pool is
// as it was.
func TestTroubleOnTheWay(t *testing.T) {
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1})
	for _, where := range []string{"encode the argument", "decode the argument", "run", "encode the result", "decode the result"} {
		for _, how := range []string{"error", "panic", "exit"} {
			isHere := where == "encode the argument" || where == "decode the result"
			if isHere && how == "exit" {
				continue // would end this process
			}
			t.Run(where+" "+how, func(t *testing.T) {
				b := blastIn{blast{where, how}}
				_, err := resultOf(t, executor.Submit(t.Context(), ex, blastResult, b))
				died, isDeath := errors.AsType[*executor.WorkerDiedError](err)
				switch {
				case err == nil:
					t.Error("no error")
				case how == "exit" && (!isDeath || died.ExitCode != 6):
					t.Errorf("%v; want a *WorkerDiedError with code 6", err)
				case how != "exit" && (isDeath || !strings.Contains(err.Error(), "blast")):
					t.Errorf("%v; want one that says \"blast\", and no death", err)
				case how == "panic" && where == "run" && !errors.As(err, new(*executor.PanicError)):
					t.Errorf("%T %v; want a *PanicError", err, err)
				}
				if n, err := resultOf(t, executor.Submit(t.Context(), ex, blastArg, blastIn{})); n != 1 || err != nil {
					t.Errorf("the next call: %d, %v", n, err)
				}
			})
		}
	}
}

// Arguments that cannot be encoded do not use up places.
func TestArgumentsThatCannotBeEncoded(t *testing.T) {
	ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 1, QueueLimit: 10})
	var fs []*executor.Future[int]
	for i := range 200 {
		b := blastIn{}
		if i < 100 {
			b = blastIn{blast{"encode the argument", "no"}}
		}
		fs = append(fs, executor.Submit(t.Context(), ex, blastArg, b))
	}
	for i, f := range fs {
		if n, err := resultOf(t, f); (err != nil) != (i < 100) || err == nil && n != 1 {
			t.Errorf("call %d: %d, %v; want an error for the first 100", i, n, err)
		}
	}
}

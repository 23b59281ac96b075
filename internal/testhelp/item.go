package testhelp

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"
)

// Item is what MakeItem makes.
type Item struct {
	N    int
	Does string // a case of MakeItem; "": returns 10*N
	Log  string // gets a line when it starts, see Starts; "": none
	Gate string // a file that "hold" waits for
}

// Items returns items that do so, with the numbers from 0 on.
func Items(does ...string) []Item {
	in := make([]Item, len(does))
	for i := range in {
		in[i] = Item{N: i, Does: does[i]}
	}
	return in
}

// ErrBoom is what an item that does "boom" fails with.
var ErrBoom = errors.New("boom")

// ItemError is the error of an item that fails. In a worker process, only its text
// is left.
type ItemError int

func (e ItemError) Error() string { return fmt.Sprintf("item %d", int(e)) }

// MakeItem makes an item, here or in a worker process: there the test package
// registers it, and ErrBoom too.
func MakeItem(ctx context.Context, in Item) (int, error) {
	if in.Log != "" {
		if err := LogStart(in.Log, in.N); err != nil {
			return 0, err
		}
	}
	switch in.Does {
	case "fail":
		return 0, ItemError(in.N)
	case "fail late":
		time.Sleep(20 * time.Millisecond)
		return 0, ItemError(in.N)
	case "boom":
		return 0, fmt.Errorf("item %d: %w", in.N, ErrBoom)
	case "large":
		return 0, errors.New(strings.Repeat("large ", 100_000))
	case "panic":
		panic(fmt.Sprint("item ", in.N))
	case "goexit":
		runtime.Goexit()
	case "hold":
		HoldUntil(in.Gate)
	case "hold, panic":
		HoldUntil(in.Gate)
		panic(fmt.Sprint("item ", in.N))
	case "heed":
		<-ctx.Done()
		return 0, ctx.Err()
	case "hang":
		time.Sleep(time.Hour)
	case "slow":
		time.Sleep(time.Millisecond)
	case "exit":
		os.Exit(40 + in.N)
	case "GOMAXPROCS":
		return runtime.GOMAXPROCS(0), nil
	}
	return 10 * in.N, nil
}

package executor_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/gofutures/futures/executor"
)

// desk has the calls that somebody else is to fetch and to make.
type desk struct {
	mu    sync.Mutex
	calls []*executor.Call
}

func (d *desk) Workers() int { return 1 }

func (d *desk) Execute(_ context.Context, c *executor.Call) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calls = append(d.calls, c)
}

// Withdraw takes c off the desk.
func (d *desk) Withdraw(c *executor.Call) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calls = slices.DeleteFunc(d.calls, func(other *executor.Call) bool { return other == c })
	return true // Start decides about a call that was fetched at this moment
}

// Interrupt tells those who make c.
func (d *desk) Interrupt(c *executor.Call, reason error) { fmt.Println("to stop:", reason) }

// fetch takes the next call and starts it.
func (d *desk) fetch() *executor.Call {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.calls[0]
	d.calls = d.calls[1:]
	c.Start()
	return c
}

func ExampleCanceller() {
	ctx := context.Background()
	d := new(desk)
	first := executor.Submit(ctx, d, length, "gopher")
	second := executor.Submit(ctx, d, length, "marmot")

	c := d.fetch()
	fmt.Println(second.Cancel(), len(d.calls)) // it has not started
	fmt.Println(first.Cancel())                // it has, and what comes of it counts
	request, _ := c.Encode()
	c.Complete(executor.Invoke(ctx, request))
	fmt.Println(first.Result(ctx))
	fmt.Println(c.Err())
	// Output:
	// true 0
	// to stop: executor: call cancelled: context canceled
	// false
	// 6 <nil>
	// <nil>
}

// seats is an executor with a goroutine for each call, of which so many run at once as
// there is room for in the channel.
type seats chan struct{}

func (s seats) Workers() int { return cap(s) }

func (s seats) Execute(ctx context.Context, c *executor.Call) {
	go func() {
		s <- struct{}{}
		c.Run(ctx)
		<-s
	}()
}

func (s seats) Lend(*executor.Call)    { <-s }
func (s seats) Reclaim(*executor.Call) { s <- struct{}{} }

func ExampleLender() {
	s := make(seats, 1)
	outer := executor.Go(context.Background(), s, func(ctx context.Context) (int, error) {
		return executor.Submit(ctx, s, length, "gopher").Result(ctx) // with the only seat
	})
	fmt.Println(outer.Result(context.Background()))
	// Output: 6 <nil>
}

// counted is an executor around another one.
type counted struct {
	executor.Executor
	calls atomic.Int64
}

func (c *counted) Execute(ctx context.Context, call *executor.Call) {
	c.calls.Add(1)
	call.HandOn(ctx, c.Executor)
}

func ExampleCall_HandOn() {
	ex := &counted{Executor: make(seats, 2)}
	_, err := executor.MapSlice(context.Background(), ex, length, []string{"gopher", "marmot"}, executor.ChunkSize(1))
	fmt.Println(ex.calls.Load(), err)
	// Output: 2 <nil>
}

// mail is an executor whose calls are made by whoever reads what it sends.
type mail struct{ sent chan []byte }

func (m mail) Workers() int { return 1 }

func (m mail) Execute(_ context.Context, c *executor.Call) {
	request, err := c.Encode()
	if err != nil {
		c.Reject(err)
		return
	}
	letter, _ := json.Marshal(request)
	m.sent <- letter
	answer := <-m.sent
	var reply executor.Reply
	err = json.Unmarshal(answer, &reply)
	c.Complete(reply, err)
}

// answer makes the call of a letter, far away.
func (m mail) answer() {
	var request executor.Request
	_ = json.Unmarshal(<-m.sent, &request)
	reply, _ := executor.Invoke(context.Background(), request)
	letter, _ := json.Marshal(reply)
	m.sent <- letter
}

func ExampleRequest() {
	m := mail{sent: make(chan []byte)}
	go m.answer()
	fmt.Println(executor.Submit(context.Background(), m, length, "gopher").Result(context.Background()))
	// Output: 6 <nil>
}

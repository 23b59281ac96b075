package procpool

import (
	"bytes"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/gofutures/futures/executor/internal/proc"
	"github.com/gofutures/futures/executor/internal/wire"
)

// script is a maker that does what the data of a request says.
type script struct {
	interrupted chan string // the causes
	goOn        chan struct{}
}

func newScript() *script { return &script{make(chan string, 10), make(chan struct{})} }

func (s *script) Initialize(name string, failure *[]byte) {
	if name == "fails" {
		*failure = []byte("failed")
	}
}

func (s *script) Make(in *Incoming, r *Reply) {
	in.Begin(s)
	*r = Reply{Returned, in.Data}
	switch string(in.Data) {
	case "exit the goroutine":
		runtime.Goexit()
	case "wait":
		<-s.goOn
	case "fail":
		in.Fail([]byte("why"), r)
	}
	if in.Err != nil {
		in.Fail([]byte(in.Err.Error()), r)
	}
}

func (s *script) Interrupt(cause string) { s.interrupted <- cause }

// parent plays the parent of a server.
type parent struct {
	*testing.T
	server   *server
	requests *io.PipeWriter
	frames   *wire.Reader
	ended    chan string // how the server has ended
	serial   uint64
}

// serveFor starts a server in this process, and returns its parent, which has greeted it.
// The server leaves a goroutine behind, which waits for requests: a worker process ends with
// it.
func serveFor(t *testing.T, m Maker, shared *proc.Shared) *parent {
	requestsEnd, requests := io.Pipe()
	repliesEnd, replies := io.Pipe()
	p := &parent{T: t, requests: requests, frames: wire.NewReader(repliesEnd), ended: make(chan string, 1)}
	p.server = newServer(ServeOptions{Maker: m, Digest: [32]byte{7}}, requestsEnd, replies, shared)
	end := func(how string) {
		p.ended <- how
		_ = replies.Close()
		runtime.Goexit()
	}
	p.server.exit = func(code int) { end(fmt.Sprint("code ", code)) }
	p.server.vanish = func() { end("vanished") }
	go p.server.serve(func() {})
	return p
}

// greet brings the server up to its first request.
func (p *parent) greet(initializer string) wire.Ready {
	p.Helper()
	config := wire.Config{Nonce: [16]byte{1, 2, 3}, Initializer: initializer}
	p.write(config.Append(nil))
	hello, err := wire.ParseHello(p.next(wire.HelloFrame))
	if err != nil || hello.Nonce != config.Nonce || hello.Digest != p.server.Digest || hello.Version != wire.Version {
		p.Errorf("the hello is %+v, %v; want the nonce of the config, and the digest", hello, err)
	}
	ready, _ := wire.ParseReady(p.next(wire.ReadyFrame))
	return ready
}

func (p *parent) write(frame []byte) {
	p.Helper()
	if _, err := p.requests.Write(frame); err != nil {
		p.Fatal(err)
	}
}

// next returns the next frame of the server, which is of a type.
func (p *parent) next(want wire.Type) []byte {
	p.Helper()
	got, body, err := p.frames.Next()
	if err != nil || got != want {
		p.Fatalf("a frame of type %d, %v; want type %d", got, err, want)
	}
	return body
}

// send sends a request, and returns its serial.
func (p *parent) send(m wire.Request) uint64 {
	p.Helper()
	p.serial++
	m.Serial, m.Slot = p.serial, uint32(p.serial%aheadJobs)
	if s := p.server.shared; s != nil {
		setRange(&s.Ranges[m.Slot], int(m.Items))
		s.Slots[m.Slot].Store(sentWord(m.Serial))
	}
	p.write(m.Append(nil))
	return m.Serial
}

// reply returns the next reply, which is to a request.
func (p *parent) reply(serial uint64) wire.Reply {
	p.Helper()
	m, err := wire.ParseReply(p.next(wire.ReplyFrame))
	if err != nil || m.Serial != serial {
		p.Fatalf("a reply to request %d, %v; want one to %d", m.Serial, err, serial)
	}
	return m
}

func with(data string) wire.Request { return wire.Request{Data: wire.Data{Bytes: []byte(data)}} }

func TestAServerAnswersRequestsInTheirOrder(t *testing.T) {
	for name, shared := range map[string]*proc.Shared{"shared": newShared(), "plain": nil} {
		p := serveFor(t, newScript(), shared)
		if ready := p.greet("works"); len(ready.Error) > 0 {
			t.Errorf("%s: the initializer has failed with %q; want that it works", name, ready.Error)
		}
		for _, data := range []string{"a", "exit the goroutine", "", "b"} {
			if m := p.reply(p.send(with(data))); Kind(m.Kind) != Returned || string(m.Data.Bytes) != data {
				t.Errorf("%s: the reply to %q is of kind %d: %q; want it back", name, data, m.Kind, m.Data.Bytes)
			}
		}
		if m := p.reply(p.send(with("fail"))); Kind(m.Kind) != Failed || string(m.Data.Bytes) != "why" {
			t.Errorf("%s: the reply to what cannot be made is of kind %d: %q; want that it failed, and why", name, m.Kind, m.Data.Bytes)
		}
		if m := p.reply(p.send(wire.Request{Data: wire.Data{Nil: true}})); !m.Data.Nil {
			t.Errorf("%s: nil has come back as %q", name, m.Data.Bytes)
		}
		p.write(wire.AppendEmpty(nil, wire.PingFrame))
		p.next(wire.AliveFrame)
		p.write(wire.AppendEmpty(nil, wire.EndFrame))
		if how := <-p.ended; how != "code 0" {
			t.Errorf("%s: when it was to go, the server has ended with %s; want code 0", name, how)
		}
	}
}

func TestAServerSaysThatItsInitializerFailed(t *testing.T) {
	p := serveFor(t, newScript(), nil)
	if ready := p.greet("fails"); string(ready.Error) != "failed" {
		t.Errorf("the initializer has failed with %q; want %q", ready.Error, "failed")
	}
}

// A server whose parent has gone vanishes; one that does not understand its parent ends.
func TestAServerEndsWithItsParent(t *testing.T) {
	for name, row := range map[string]struct {
		last []byte
		want string
	}{
		"the parent has gone":    {nil, "vanished"},
		"half a frame":           {[]byte{9, 0}, "vanished"},
		"a frame of a worker":    {wire.AppendEmpty(nil, wire.AliveFrame), "code 2"},
		"a second config":        {(&wire.Config{}).Append(nil), "code 2"},
		"a request that is none": {[]byte{2, 0, 0, 0, byte(wire.RequestFrame), 0x80}, "code 2"},
	} {
		p := serveFor(t, newScript(), nil)
		p.greet("")
		if row.last != nil {
			p.write(row.last)
		}
		_ = p.requests.Close()
		if how := <-p.ended; how != row.want {
			t.Errorf("%s: the server has ended with %s; want %s", name, how, row.want)
		}
	}
}

// What the parent has taken back does not start, and the area of its argument is given
// back.
func TestAServerLeavesAloneWhatWasTakenBack(t *testing.T) {
	shared := newShared()
	p := serveFor(t, newScript(), shared)
	p.greet("")
	first := p.send(with("wait"))
	if !lend(shared, argsArea, BigData) {
		t.Fatal("the area for arguments is in use")
	}
	taken := p.send(wire.Request{Data: wire.Data{Shared: true, Area: argsArea, Len: BigData}})
	if !shared.Slots[taken].CompareAndSwap(sentWord(taken), takenWord(taken)) {
		t.Fatal("a request behind one that runs has started")
	}
	last := p.send(with("last"))
	close(p.server.Maker.(*script).goOn)
	p.reply(first)
	p.reply(last)
	if !lend(shared, argsArea, BigData) {
		t.Error("the area of a request that was taken back is still lent")
	}
}

// A large reply goes through the shared memory, and the argument's area is given back
// when it is there.
func TestALargeReplyIsInTheSharedMemory(t *testing.T) {
	shared := newShared()
	p := serveFor(t, newScript(), shared)
	p.greet("")
	data := wire.Data{Shared: true, Area: argsArea, Len: BigData}
	want := bytes.Repeat([]byte("x"), BigData)
	for range 3 {
		if !lend(shared, argsArea, BigData) {
			t.Fatal("the area for arguments is in use")
		}
		to, _ := lent(shared, data)
		copy(to, want)
		m := p.reply(p.send(wire.Request{Data: data}))
		got, ok := lent(shared, m.Data)
		if !ok || !m.Data.Shared || m.Data.Area != repliesArea || !bytes.Equal(got, want) {
			t.Fatalf("a large reply has come as %+v, with %d bytes; want it in the area for replies", m.Data, len(got))
		}
		giveBack(shared, repliesArea)
	}
}

// An argument that is not in the shared memory is an error of its request.
func TestAnArgumentOutsideOfTheSharedMemoryIsAnError(t *testing.T) {
	p := serveFor(t, newScript(), newShared())
	p.greet("")
	m := p.reply(p.send(wire.Request{Data: wire.Data{Shared: true, Area: 99, Len: 1}}))
	if Kind(m.Kind) != Failed || !strings.Contains(string(m.Data.Bytes), "shared memory") {
		t.Errorf("the reply is of kind %d: %q; want that it failed, and why", m.Kind, m.Data.Bytes)
	}
}

// A request is interrupted while it runs, or as soon as it begins; not when it has ended.
func TestAServerInterruptsTheRequestThatIsMeant(t *testing.T) {
	m := newScript()
	p := serveFor(t, m, nil)
	p.greet("")
	cancel := func(serial uint64, cause string) { p.write((&wire.Cancel{Serial: serial, Cause: cause}).Append(nil)) }
	over := p.send(with("over"))
	p.reply(over)
	first, second := p.send(with("wait")), p.send(with("second"))
	cancel(over, "too late")
	cancel(first, "now")
	if cause := <-m.interrupted; cause != "now" {
		t.Errorf("the request that runs is interrupted because of %q; want %q", cause, "now")
	}
	cancel(second, "early")
	p.write(wire.AppendEmpty(nil, wire.PingFrame)) // behind which the cancel was read
	p.next(wire.AliveFrame)
	close(m.goOn)
	p.reply(first)
	if cause := <-m.interrupted; cause != "early" {
		t.Errorf("the request that waited is interrupted because of %q; want %q", cause, "early")
	}
	p.reply(second)
}

// The stack of the goroutine that makes a request comes first, and that of an item before it.
func TestTheStackOfTheMakerComesFirst(t *testing.T) {
	const other, maker, item = "goroutine 1:\nother()", "goroutine 2:\nprocpool.(*server).make(0x1)", "goroutine 3:\nitem(0x2)"
	for _, row := range []struct{ all, want string }{
		{other + "\n\n" + maker + "\n\n" + other, maker},
		{maker + "\n\n" + other, maker},
		{other + "\n\n" + maker + "\n\n" + item, item},
		{other, other},
	} {
		got := string(makerFirst([]byte(row.all), "item(", "procpool.(*server).make("))
		if !strings.HasPrefix(got, row.want) || strings.Count(got, "goroutine") != strings.Count(row.all, "goroutine") {
			t.Errorf("of the stacks\n%s\nmakerFirst makes\n%s\nwant all of them, this first:\n%s", row.all, got, row.want)
		}
	}
}

// The parent takes items of a chunk back while the worker is at it: each item is the
// worker's or the parent's.
func TestTheRangeGivesEachItemToOne(t *testing.T) {
	for cut := range 11 {
		shared := newShared()
		setRange(&shared.Ranges[3], 10)
		s := newServer(ServeOptions{}, nil, io.Discard, shared)
		j := s.newJournal(&wire.Request{Slot: 3, Serial: 1, Items: 10}, false)
		for i := range 4 {
			if !j.Begin(i) {
				t.Fatalf("item %d may not begin", i)
			}
		}
		from := cutRange(&shared.Ranges[3], cut)
		if want := max(cut, 4); from != min(want, 10) {
			t.Errorf("items from %d on are taken back, of which 4 have begun: they are taken from %d on; want %d", cut, from, want)
		}
		for i := 4; i < 11; i++ {
			if got := j.Begin(i); got != (i < from) {
				t.Errorf("items from %d on are taken back: item %d may begin: %t", from, i, got)
			}
		}
	}
}

// A journal that is full goes to the parent, and begins again; what is longer than it goes
// alone.
func TestAFullJournalIsSent(t *testing.T) {
	var out bytes.Buffer
	shared := newShared()
	const items = 100
	setRange(&shared.Ranges[3], items)
	s := newServer(ServeOptions{}, nil, &out, shared)
	j := s.newJournal(&wire.Request{Slot: 3, Serial: 1, Items: items}, false)
	data := make([]byte, 300)
	for i := 0; j.Begin(i); i++ {
		switch {
		case i == 50:
			j.Outcome(Reply{Returned, make([]byte, 5000)}) // longer than the journal
		case i > 50:
			j.Outcome(Reply{Failed, data})
		default:
			noted, ok := j.Room(len(data))
			if !ok {
				t.Fatalf("there is no room for the value of item %d", i)
			}
			j.Value(append(noted, data...))
		}
	}
	last := j.close()
	out.Write(last.Append(nil))
	next := 0
	for frames := wire.NewReader(&out); next < items; {
		_, body, err := frames.Next()
		if err != nil {
			t.Fatalf("after %d items: %v", next, err)
		}
		m, err := wire.ParseReply(body)
		if want := Values; err != nil || int(m.From) != next || next < 50 && Kind(m.Kind) != want || m.More != (next+int(m.Items) < items) {
			t.Fatalf("after %d items: %+v, %v; want a reply about the next ones, and whether more come", next, m, err)
		}
		next += int(m.Items)
	}
}

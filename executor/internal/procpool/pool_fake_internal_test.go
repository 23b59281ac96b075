package procpool

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gofutures/futures/executor/internal/proc"
	"github.com/gofutures/futures/executor/internal/wire"
)

func TestRequestsComeBackFromWorkers(t *testing.T) {
	for _, isPlain := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			p, f := newFakePool(t, Options{MaxWorkers: 2}, honest)
			f.isPlain = isPlain
			var tasks []*fakeTask
			for i := range 100 {
				tasks = append(tasks, newTask(fmt.Sprint("request ", i)))
			}
			submit(t, p, tasks...)
			closeAll(t, p, f)
			for i, task := range tasks {
				task.wantReply(t, fmt.Sprint("request ", i))
			}
			if n := f.count(); n != 2 {
				t.Errorf("there were %d processes; want 2", n)
			}
		})
	}
}

// known lets the pool know that a request takes a microsecond, so that requests are sent
// ahead.
func known(t *testing.T, p *Pool) {
	t.Helper()
	for range 20 {
		task := newTask("known")
		submit(t, p, task)
		time.Sleep(time.Millisecond)
		task.wantReply(t, "a request that takes a microsecond")
	}
}

// When a worker dies, what it had started dies with it, and what was sent ahead runs
// elsewhere.
func TestADeathTakesOnlyWhatHadStarted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fatal := "fatal"
		p, f := newFakePool(t, Options{MaxWorkers: 1}, func(w *fake) {
			w.begin()
			for m, ok := w.nextCall(); ok; m, ok = w.nextCall() {
				if string(m.Data.Bytes) == fatal {
					_, _ = w.stderr.Write([]byte("panic: fatal\n"))
					time.Sleep(time.Microsecond) // the rest was sent ahead
					w.exit(3)
					return
				}
				w.reply(m, time.Microsecond)
			}
		})
		known(t, p)
		bad, behind := newTask(fatal), []*fakeTask{newTask("a"), newTask("b"), newTask("c")}
		submit(t, p, append([]*fakeTask{bad}, behind...)...)
		closeAll(t, p, f)
		d := bad.wantDeath(t, "a request in which its worker ends")
		if d.PID != 1000 || d.ExitCode != 3 || d.Attempts != 1 || d.Stderr != "panic: fatal" || d.Reason != nil {
			t.Errorf("the death is %+v; want process 1000, code 3, the first attempt, and what it printed", d)
		}
		for _, task := range behind {
			task.wantReply(t, "a request that was sent ahead of its start")
		}
		if s := p.Stats(); s.Restarts != 1 {
			t.Errorf("%d workers have died; want 1", s.Restarts)
		}
	})
}

// The word of the slot decides whether a request that was sent ahead may be withdrawn.
func TestARequestIsWithdrawnUnlessItsWorkerHasStartedIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		goOn, started := make(chan struct{}), make(map[string]int)
		p, f := newFakePool(t, Options{MaxWorkers: 1}, func(w *fake) {
			w.begin()
			for m, ok := w.nextCall(); ok; m, ok = w.nextCall() {
				started[string(m.Data.Bytes)]++
				if string(m.Data.Bytes) == "first" {
					<-goOn
				}
				w.reply(m, time.Microsecond)
			}
		})
		known(t, p)
		first, ahead, unsent := newTask("first"), newTask("ahead"), newTask("not submitted")
		submit(t, p, first, ahead)
		synctest.Wait()
		if v := p.Inventory(); v.MostSent != 2 {
			t.Fatalf("the worker was sent %d requests; want 2", v.MostSent)
		}
		for _, row := range []struct {
			name string
			task *fakeTask
			want bool
		}{{"one that has started", first, false}, {"one that was sent ahead", ahead, true}, {"one that was withdrawn", ahead, false}, {"one that was not submitted", unsent, true}} {
			u, is := p.Withdraw(&row.task.Request)
			u.Flush()
			if is != row.want || p.HasStarted(&row.task.Request) != (row.task == first) {
				t.Errorf("%s: withdrawn: %t, started: %t; want %t, %t", row.name, is, p.HasStarted(&row.task.Request), row.want, row.task == first)
			}
		}
		submit(t, p, unsent)
		close(goOn)
		closeAll(t, p, f)
		first.wantReply(t, "the first request")
		for _, task := range []*fakeTask{ahead, unsent} {
			if _, ends, _ := task.outcome(); ends > 0 || started[string(task.Data)] > 0 {
				t.Errorf("%q was withdrawn, and has ended %d times, was started %d times; want none of it", task.Data, ends, started[string(task.Data)])
			}
		}
	})
}

// A request whose task has been ended by somebody else is not sent.
func TestATaskThatMayNotStartIsNotSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, f := newFakePool(t, Options{MaxWorkers: 1}, honest)
		over, other := newTask("over"), newTask("other")
		over.isOver = true
		submit(t, p, over, other)
		closeAll(t, p, f)
		other.wantReply(t, "the request behind it")
		if _, ends, _ := over.outcome(); ends != 0 {
			t.Errorf("a task that may not start has ended %d times; want 0", ends)
		}
	})
}

// A worker that says what it cannot mean is ended, and what it had started with it. All
// else runs in another.
func TestAWorkerThatSendsGarbageIsReplaced(t *testing.T) {
	reply := func(change func(*wire.Reply)) func(wire.Request) []byte {
		return func(m wire.Request) []byte {
			a := wire.Reply{Slot: m.Slot, Serial: m.Serial, Kind: byte(Returned), Data: wire.Data{Bytes: []byte{1}}}
			change(&a)
			return a.Append(nil)
		}
	}
	bytesOf := func(b ...byte) func(wire.Request) []byte { return func(wire.Request) []byte { return b } }
	for name, garbage := range map[string]func(wire.Request) []byte{
		"an unknown type":           bytesOf(1, 0, 0, 0, 99),
		"a frame of a parent":       bytesOf(1, 0, 0, 0, byte(wire.PingFrame)),
		"a second hello":            bytesOf(1, 0, 0, 0, byte(wire.HelloFrame)),
		"no length":                 bytesOf(0, 0, 0, 0, byte(wire.ReplyFrame)),
		"half a reply":              bytesOf(3, 0, 0, 0, byte(wire.ReplyFrame), 0x80, 0x80),
		"another serial":            reply(func(a *wire.Reply) { a.Serial++ }),
		"another slot":              reply(func(a *wire.Reply) { a.Slot++ }),
		"no slot":                   reply(func(a *wire.Reply) { a.Slot = 1 << 20 }),
		"items of what is no chunk": reply(func(a *wire.Reply) { a.Items = 1 }),
		"more of what is no chunk":  reply(func(a *wire.Reply) { a.More = true }),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, f := newFakePool(t, Options{MaxWorkers: 1}, func(w *fake) {
					if w.number > 0 {
						honest(w)
						return
					}
					w.begin()
					if m, ok := w.nextCall(); ok {
						w.write(garbage(m))
					}
				})
				bad, next := newTask("bad"), newTask("next")
				submit(t, p, bad, next)
				closeAll(t, p, f)
				if d := bad.wantDeath(t, "the request of a worker that sends garbage"); !errors.Is(d.Reason, wire.ErrProtocol) {
					t.Errorf("the reason of the death is %v; want wire.ErrProtocol", d.Reason)
				}
				next.wantReply(t, "the request behind it")
			})
		})
	}
}

// A reply that is in no area of the shared memory ends its request, and the worker.
func TestAReplyOutsideOfTheSharedMemoryIsNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, f := newFakePool(t, Options{MaxWorkers: 1}, func(w *fake) {
			w.begin()
			if m, ok := w.nextCall(); ok {
				a := wire.Reply{Slot: m.Slot, Serial: m.Serial, Kind: byte(Returned), Data: wire.Data{Shared: true, Area: repliesArea, Len: 1 << 60}}
				w.write(a.Append(nil))
			}
		})
		task := newTask("")
		submit(t, p, task)
		time.Sleep(time.Millisecond)
		closeAll(t, p, f)
		if _, ends, err := task.outcome(); ends != 1 || err == nil {
			t.Errorf("the request has ended %d times, with %v; want once, with an error", ends, err)
		}
		if s := p.Stats(); s.Restarts != 1 {
			t.Errorf("%d workers have died; want 1", s.Restarts)
		}
	})
}

// A worker that says nothing for a while loses what was sent ahead to it; one that does not
// even start a request loses that too, until it gives a sign of life.
func TestAWorkerThatIsStoppedHoldsUpNothing(t *testing.T) {
	for _, hasStarted := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			goOn := make(chan struct{})
			p, f := newFakePool(t, Options{MaxWorkers: 2}, func(w *fake) {
				if w.number > 0 {
					honest(w)
					return
				}
				w.begin()
				for m, ok := w.nextCall(); ok; m, ok = w.nextCall() {
					if string(m.Data.Bytes) == "last" {
						if hasStarted {
							<-goOn
						}
						w.reply(m, time.Microsecond)
						if !hasStarted {
							<-goOn // before it reads the next
						}
						continue
					}
					w.reply(m, time.Microsecond)
				}
			})
			known(t, p)
			tasks := []*fakeTask{newTask("last"), newTask("a"), newTask("b")}
			began := time.Now()
			submit(t, p, tasks...)
			time.Sleep(stallTime + 5*time.Millisecond)
			synctest.Wait()
			for _, task := range tasks[1:] {
				task.wantReply(t, fmt.Sprintf("a request behind a worker that is stopped (in a request: %t)", hasStarted))
			}
			if v := p.Inventory(); v.Waiting > 0 {
				t.Errorf("%d requests wait after %v; want none", v.Waiting, time.Since(began))
			}
			close(goOn)
			closeAll(t, p, f)
			tasks[0].wantReply(t, "the request that it had started")
		})
	}
}

// A worker that does not read its pipe holds up no submitter.
func TestASlowPipeHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		goOn := make(chan struct{})
		p, f := newFakePool(t, Options{MaxWorkers: 1}, func(w *fake) {
			w.begin()
			<-goOn
			w.serve(time.Microsecond)
		})
		began := time.Now()
		var tasks []*fakeTask
		for i := range 1000 {
			tasks = append(tasks, newTask(fmt.Sprint(i)))
		}
		submit(t, p, tasks...)
		if took := time.Since(began); took > 0 {
			t.Errorf("Submit took %v while the worker did not read; want no time", took)
		}
		time.Sleep(time.Minute)
		close(goOn)
		closeAll(t, p, f)
		for i, task := range tasks {
			task.wantReply(t, fmt.Sprint("request ", i))
		}
	})
}

// A request that is interrupted is told why, has KillGrace to return, and then its worker
// is ended, with a look at its stacks first. Its death has the reason.
func TestAWorkerThatDoesNotObeyIsKilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const grace = 3 * time.Second
		var told []string
		p, f := newFakePool(t, Options{MaxWorkers: 1, KillGrace: grace, Retries: 5}, func(w *fake) {
			if w.number > 0 {
				honest(w)
				return
			}
			w.begin()
			_, _ = w.nextCall()
			begin := time.Now()
			for { // it hears, and does not obey
				frame, body, err := w.frames.Next()
				if err != nil {
					return
				}
				cause := ""
				if frame == wire.CancelFrame {
					m, _ := wire.ParseCancel(body)
					cause = m.Cause
				}
				told = append(told, fmt.Sprint(frame, cause, time.Since(begin)))
			}
		})
		bad, behind := newTask("bad"), newTask("behind")
		submit(t, p, bad, behind)
		synctest.Wait()
		reason, began := errors.New("enough"), time.Now()
		if !p.Interrupt(&bad.Request, reason, "cause", false) {
			t.Fatal("Interrupt of a request that runs = false; want true")
		}
		closeAll(t, p, f)
		if d := bad.wantDeath(t, "a request that did not stop"); d.Reason != reason || d.Attempts != 1 {
			t.Errorf("the reason of the death is %v, at attempt %d; want %v, 1", d.Reason, d.Attempts, reason)
		}
		behind.wantReply(t, "the request behind it")
		w := f.get(0)
		wantTold := []string{fmt.Sprint(wire.CancelFrame, "cause", time.Duration(0)), fmt.Sprint(wire.StacksFrame, "", grace)}
		if strings.Join(told, " ") != strings.Join(wantTold, " ") {
			t.Errorf("the worker was told %v; want %v", told, wantTold)
		}
		if len(w.quits) != 1 || w.quits[0].Sub(began) != grace+obeyTime || len(w.kills) == 0 || w.kills[0].Sub(began) != grace+stacksTime {
			t.Errorf("signals at %v, killed at %v; want them %v and %v after %v", w.quits, w.kills, grace+obeyTime, grace+stacksTime, began)
		}
	})
}

// A request waits when its worker has died before it started it: then it is withdrawn, and
// not interrupted.
func TestInterruptSaysThatARequestWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		goOn := make(chan struct{})
		p, f := newFakePool(t, Options{MaxWorkers: 1}, func(w *fake) {
			w.begin()
			<-goOn
			w.serve(time.Microsecond)
		})
		running, waits := newTask("running"), newTask("waits")
		submit(t, p, running, waits)
		synctest.Wait()
		if p.Interrupt(&waits.Request, errors.New("enough"), "cause", false) {
			t.Error("Interrupt of a request that waits = true; want false")
		}
		if _, is := p.Withdraw(&waits.Request); !is {
			t.Error("a request that waits cannot be withdrawn")
		}
		close(goOn)
		closeAll(t, p, f)
		running.wantReply(t, "the request before it")
	})
}

// A start that fails is tried again, after a wait that doubles. After five in a row, the
// pool is broken: nothing is taken any more, and what waits is handed back.
func TestStartsThatFailBreakThePool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cannot := errors.New("cannot")
		var broken []error
		var p *Pool
		var drained []Task
		p, f := newFakePool(t, Options{MaxWorkers: 3, Broken: func(cause error, d *Death) {
			broken = append(broken, cause)
			if d != nil {
				t.Errorf("the death of a process that was not started: %v", d)
			}
			drained = append(drained, p.Drain(cause)...)
		}}, honest)
		f.fails = cannot
		task := newTask("waits")
		began := time.Now()
		submit(t, p, task)
		time.Sleep(time.Hour)
		synctest.Wait()
		if len(broken) != 1 || !errors.Is(broken[0], cannot) {
			t.Fatalf("the pool was broken by %v; want once, by %v", broken, cannot)
		}
		var waits []time.Duration
		for _, start := range f.starts {
			waits = append(waits, start.Sub(began))
		}
		want := []time.Duration{0, backoff, 3 * backoff, 7 * backoff, 15 * backoff}
		if fmt.Sprint(waits) != fmt.Sprint(want) {
			t.Errorf("the starts were after %v; want %v", waits, want)
		}
		if len(drained) != 1 || drained[0] != Task(task) {
			t.Errorf("%d tasks are handed back; want the one that waits", len(drained))
		}
		if _, is := p.Withdraw(&task.Request); !is {
			t.Error("a request that was handed back cannot be withdrawn")
		}
		late := newTask("late")
		if _, isTaken := p.Submit(&late.Request); isTaken {
			t.Error("a request is taken by a pool that is broken")
		}
		closeAll(t, p, f)
	})
}

// A worker that another start would not make better breaks the pool at once.
func TestAWorkerOfAnotherProgramBreaksThePool(t *testing.T) {
	for name, change := range map[string]func(*wire.Hello){
		"version": func(m *wire.Hello) { m.Version++ },
		"nonce":   func(m *wire.Hello) { m.Nonce[3]++ },
		"build":   func(m *wire.Hello) { m.Build += "x" },
		"digest":  func(m *wire.Hello) { m.Digest[3]++ },
	} {
		synctest.Test(t, func(t *testing.T) {
			var broken []error
			p, f := newFakePool(t, Options{MaxWorkers: 1, Broken: func(cause error, _ *Death) { broken = append(broken, cause) }}, func(w *fake) {
				_, body, _ := w.frames.Next()
				config, _ := wire.ParseConfig(body)
				m := wire.Hello{Version: wire.Version, Nonce: config.Nonce, Build: proc.Build(), Digest: [32]byte{7}}
				change(&m)
				w.write(m.Append(nil))
			})
			submit(t, p, newTask(""))
			time.Sleep(time.Millisecond)
			synctest.Wait()
			if len(broken) != 1 || !errors.As(broken[0], new(*permanentError)) {
				t.Errorf("another %s in the hello of a worker: broken by %v; want once, by an error that is permanent", name, broken)
			}
			p.Drain(errors.New("over"))
			closeAll(t, p, f)
		})
	}
}

// A worker that never says hello is ended, and one whose initializer fails is told of.
func TestAWorkerThatDoesNotGetReadyIsReplaced(t *testing.T) {
	for name, never := range map[string]func(*fake){
		"it says nothing": func(w *fake) { <-w.gone },
		"it ends":         func(w *fake) { w.exit(1) },
		"its initializer fails": func(w *fake) {
			w.hello()
			w.write((&wire.Ready{Error: []byte("no")}).Append(nil))
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			p, f := newFakePool(t, Options{MaxWorkers: 1}, func(w *fake) {
				if w.number == 0 {
					never(w)
				} else {
					honest(w)
				}
			})
			task := newTask("waits")
			submit(t, p, task)
			time.Sleep(helloTime + time.Second)
			synctest.Wait()
			task.wantReply(t, "a request of a pool whose first worker does not get ready: "+name)
			if s := p.Stats(); s.Early != 0 || s.Processes != 1 {
				t.Errorf("%s: %+v; want one process, which is ready", name, s)
			}
			closeAll(t, p, f)
		})
	}
}

// A worker over the MemoryLimit is killed, and its request says so.
func TestAWorkerOverTheMemoryLimitIsKilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, f := newFakePool(t, Options{MaxWorkers: 1, MemoryLimit: 100}, func(w *fake) {
			w.begin()
			if w.number > 0 {
				w.serve(time.Microsecond)
				return
			}
			_, _ = w.nextCall()
			w.mu.Lock()
			w.resident = 101
			w.mu.Unlock()
		})
		big, next := newTask("big"), newTask("next")
		submit(t, p, big, next)
		time.Sleep(time.Second)
		synctest.Wait()
		if d := big.wantDeath(t, "a request that eats memory"); !d.OutOfMemory || d.Reason == nil {
			t.Errorf("the death is %+v; want that it was out of memory", d)
		}
		next.wantReply(t, "the request behind it")
		closeAll(t, p, f)
	})
}

// newChunk returns a task whose request is a chunk: of items of one byte, which come back.
func newChunk(items string) *fakeTask {
	c := newTask(items)
	c.Items, c.Function.Size = len(items), 1
	return c
}

// The items that a worker has noted before it died are kept, the item that it was in is
// lost, and the others are made elsewhere.
func TestADeathCostsOneItemOfAChunk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const items = "abcdefghij"
		p, f := newFakePool(t, Options{MaxWorkers: 1}, func(w *fake) {
			w.begin()
			s := newServer(ServeOptions{}, nil, w.results, w.shared)
			for m, ok := w.nextCall(); ok; m, ok = w.nextCall() {
				j := s.newJournal(&m, false)
				for i := 0; j.Begin(i); i++ {
					item := m.Data.Bytes[i]
					if item == 'd' {
						w.exit(2)
						return
					}
					noted, _ := j.Room(1)
					j.Value(append(noted, item))
				}
				a := j.close()
				w.write(a.Append(nil))
			}
		})
		chunk := newChunk(items)
		submit(t, p, chunk)
		closeAll(t, p, f)
		if _, ends, err := chunk.outcome(); ends != 1 || err != nil {
			t.Errorf("the chunk has ended %d times, with %v; want once, nil", ends, err)
		}
		for i, item := range items {
			why := chunk.lost[i]
			switch {
			case item == 'd':
				if d := new(Death); !errors.As(why, &d) || d.ExitCode != 2 {
					t.Errorf("item d is lost because of %v; want the death of its worker", why)
				}
			case chunk.kept[i] != string(item) || why != nil:
				t.Errorf("item %c has the value %q, and is lost because of %v; want its own value", item, chunk.kept[i], why)
			}
		}
	})
}

// What has not begun of a chunk that is interrupted is lost at once; what its worker is at
// is not.
func TestWhatHasNotBegunIsLostWhenAChunkIsInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		goOn := make(chan struct{})
		p, f := newFakePool(t, Options{MaxWorkers: 1}, func(w *fake) {
			w.begin()
			s := newServer(ServeOptions{}, nil, w.results, w.shared)
			for m, ok := w.nextCall(); ok; m, ok = w.nextCall() {
				j := s.newJournal(&m, false)
				for i := 0; j.Begin(i); i++ {
					if i == 2 {
						<-goOn
					}
					noted, _ := j.Room(1)
					j.Value(append(noted, m.Data.Bytes[i]))
				}
				a := j.close()
				w.write(a.Append(nil))
			}
		})
		chunk := newChunk("abcdef")
		submit(t, p, chunk)
		synctest.Wait()
		if n := p.Made(&chunk.Request); n != 2 {
			t.Errorf("%d items have ended; want 2", n)
		}
		p.Interrupt(&chunk.Request, errors.New("enough"), "cause", true)
		synctest.Wait()
		for i := range 6 {
			if isLost := errors.Is(chunk.lost[i], ErrNotBegun); isLost != (i > 2) {
				t.Errorf("item %d, of which 0 to 2 have begun: it is lost because of %v", i, chunk.lost[i])
			}
		}
		close(goOn)
		closeAll(t, p, f)
		if _, ends, err := chunk.outcome(); ends != 1 || err != nil || chunk.kept[2] != "c" {
			t.Errorf("the chunk has ended %d times, with %v, and item 2 is %q; want once, nil, its own value", ends, err, chunk.kept[2])
		}
	})
}

// A large argument is lent an area of the shared memory, which the worker gives back. If it
// dies with it, the memory is given back with the process, but not before a reply that is
// there was decoded.
func TestLargeValuesAndDeath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		goOn := make(chan struct{})
		p, f := newFakePool(t, Options{MaxWorkers: 1}, func(w *fake) {
			w.begin()
			if w.number > 0 {
				w.serve(time.Microsecond)
				return
			}
			m, _ := w.nextCall()
			data, _ := lent(w.shared, m.Data)
			if !m.Data.Shared || int(m.Data.Area) != argsArea || len(data) != BigData {
				t.Errorf("a large argument came as %d bytes, shared: %t", len(data), m.Data.Shared)
			}
			if !lend(w.shared, repliesArea, len(data)) {
				t.Error("the area for replies is in use")
			}
			d := wire.Data{Shared: true, Area: repliesArea, Len: uint64(len(data))}
			to, _ := lent(w.shared, d)
			fill(to, data)
			a := wire.Reply{Slot: m.Slot, Serial: m.Serial, Kind: byte(Returned), Spent: time.Microsecond, Data: d}
			w.write(a.Append(nil)) // the argument is not given back
			_, _ = w.nextCall()
			w.exit(9)
		})
		large := newTask(string(bytes.Repeat([]byte("x"), BigData)))
		large.onKeep = func() { <-goOn }
		last := newTask("last")
		submit(t, p, large, last)
		time.Sleep(time.Minute)
		synctest.Wait()
		last.wantDeath(t, "the request in which the worker ends")
		if f.get(0).hasClosed() {
			t.Error("the memory is given back while a reply there is decoded")
		}
		close(goOn)
		synctest.Wait()
		large.wantReply(t, "the large request")
		if !f.get(0).hasClosed() {
			t.Error("the memory is not given back when the reply was decoded")
		}
		closeAll(t, p, f)
	})
}

// The functions of the Options are called without the lock of the pool, and Left when
// nothing is left of the process.
func TestTheOwnerMayUseThePoolInItsFunctions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p *Pool
		left, rescheduled := 0, 0
		p, f := newFakePool(t, Options{MaxWorkers: 1, Left: func() { left++; p.Stats() }, Rescheduled: func() { rescheduled++; p.Queued() }}, honest)
		task := newTask("one")
		task.onKeep = func() { p.Queued() }
		submit(t, p, task)
		closeAll(t, p, f)
		task.wantReply(t, "the request")
		if left != 1 || rescheduled == 0 {
			t.Errorf("Left was called %d times, Rescheduled %d; want once, and often", left, rescheduled)
		}
	})
}

// A request whose worker dies is tried again as often as Retries says, and not after
// TryNoMore.
func TestRetries(t *testing.T) {
	for _, row := range []struct {
		retries  int
		noMore   bool
		attempts int
	}{{0, false, 1}, {2, false, 3}, {2, true, 1}} {
		synctest.Test(t, func(t *testing.T) {
			p, f := newFakePool(t, Options{MaxWorkers: 1, Retries: row.retries}, func(w *fake) {
				w.begin()
				if m, ok := w.nextCall(); ok && int(m.Attempt) != w.number {
					t.Errorf("process %d is told of attempt %d", w.number, m.Attempt)
				}
				w.exit(1)
			})
			if row.noMore {
				p.TryNoMore()
			}
			task := newTask("bad")
			submit(t, p, task)
			closeAll(t, p, f)
			if d := task.wantDeath(t, "a request that ends each worker"); d.Attempts != row.attempts {
				t.Errorf("Retries %d, TryNoMore %t: it was tried %d times; want %d", row.retries, row.noMore, d.Attempts, row.attempts)
			}
		})
	}
}

// A request that was interrupted, and whose worker then ends by itself, has the reason for
// the interruption, and is not tried again.
func TestADeathAfterAnInterruptHasItsReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, f := newFakePool(t, Options{MaxWorkers: 1, Retries: 3}, func(w *fake) {
			w.begin()
			_, _ = w.nextCall()
			_, _, _ = w.next() // that it is to stop
			w.exit(4)
		})
		task, reason := newTask("bad"), errors.New("enough")
		submit(t, p, task)
		synctest.Wait()
		p.Interrupt(&task.Request, reason, "cause", false)
		closeAll(t, p, f)
		if d := task.wantDeath(t, "a request whose worker ends when it is to stop"); d.Reason != reason || d.ExitCode != 4 || d.Attempts != 1 {
			t.Errorf("the death is %+v; want code 4, the first attempt, and the reason %v", d, reason)
		}
	})
}

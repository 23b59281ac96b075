// Package procpool has a pool of worker processes that turns bytes into bytes. It knows
// neither what a call is, nor a ctx, nor a type: a Request says which function, by a
// number, and has the encoded argument, a Reply has the encoded result, and the Task of a
// request is told what came of it.
//
// # A request's way through a process
//
//	the parent                                            │  a worker
//	Submit ── scheduler ── order ── process.enqueue       │
//	             │                      │ flush           │
//	             │                  write ──── Requests ──┼─── server.receive ── take
//	             │                      │                 │                       │
//	             │       slot, range ◄──┴── shared memory ┼──► claim ◄─────────── next
//	             │             journal, areas             │      │
//	             │                                        │   Maker.Make ── Journal
//	Task.Keep ◄─ ended ◄─ readReplies ◄─────── Replies ───┼─── write ◄─── answer
//	Task.End                                              │
//
// In steps:
//
//  1. Pool.Submit puts the request into the queue and asks the scheduler what is to be
//     done. That is a state machine without goroutines: each event (a request, a reply, a
//     death, a tick of the timer) ends in scheduler.schedule, whose orders Pool.schedule
//     carries out under Pool.mu: to start a worker, to send a job, to let a worker go.
//  2. A job is a request, or some items of a chunk. process.enqueue adds its frame, under
//     Pool.mu, so that frames go in the order of the decisions. They are written without the
//     lock, by Unsent.Flush: one small frame to an idle worker by the caller, all else by a
//     goroutine of the process, which takes what has come meanwhile in one go.
//  3. Jobs are sent ahead: up to a millisecond of work, as measured (pace), so that a worker
//     needs no way to the parent and back between two tiny requests. What was sent and has
//     not started is still the parent's: see the word below.
//  4. In the worker, one goroutine reads frames (server.serve), and one makes requests
//     (server.makeAll), in order. A reply that took a while is written at once, so that it
//     is not lost with the next request; replies of tiny requests are written together.
//  5. In the parent, one goroutine for each process (process.attend) starts it, reads its
//     replies, and reaps it. It runs no code of the user's. A reply whose type has such code, or
//     that is long, is decoded by a goroutine of its own (Pool.completeElsewhere), because the
//     replies behind would wait. Task.End comes when all items and jobs are over (finish).
//
// # The word of a slot
//
// Each job that was sent has a slot of the shared memory, with one word: the serial of the
// job, and sent, started or taken. The parent writes sent before the frame. The worker
// moves it from sent to started (server.claim), the parent from sent to taken
// (scheduler.recall): both compare and swap, and so one of them has the job. That decides
// whether a request that was sent ahead has run or may be withdrawn. Jobs are recalled by
// Withdraw; by relieve and balance, which give them to another worker; by condemn, before a
// worker is killed; by died; by Interrupt; and by Drain. For a chunk, a second word, the range, decides the same of
// each item (journal.go). Where no memory is shared, a job has started when it is sent, and
// nothing is sent ahead.
//
// # Death
//
// When a worker has died, Pool.salvage keeps the items that its journal has, of the chunk that
// it was at. Then scheduler.died recalls what had not started: those jobs are the next to be
// sent, before the queue. Items that were not begun become a job again (breakUp). What was
// begun and is not noted, one item, is tried again if Retries allow, or lost (Task.Lose, with
// a Death). Where no memory is shared, that is each item that was not sent back. A request that was interrupted is never tried again. A worker
// that does not start counts for backoff; after some in a row, or for one that another start
// would not make better, Options.Broken is called.
//
// Interrupt asks a request that has started to stop: a frame tells the worker, and after
// KillGrace its process is killed (endHanging), first with a look at its stacks. Parts of
// the request that have not begun are lost at once (endAsked).
//
// # Large values
//
// They go through areas of the shared memory, which are lent (lanes.go): whoever fills one
// lends it, the parent for an argument (process.lend), the worker for a reply; whoever has
// read it gives it back, the worker when the request has ended (server.giveBack), the parent
// when the reply is decoded (process.giveBack). When a worker dies, nobody gives anything
// back: its memory goes with it. process.close unmaps it, when nobody reads a reply there any
// more (held). An argument that was taken back is given back by the worker, which skips it.
//
// # Locks, and the end of pipes and memory
//
// The owner's lock, if it has one, comes before Pool.mu, and that before process.mu. Under
// its own lock, the owner may call Submit, Withdraw, Queued, Stats and HasStarted, and
// flushes afterwards. Under Pool.mu, the pool calls Task.MayStart and nothing else of the
// owner's; Keep, Lose, End and the functions of Options are called without a lock.
//
// Close lets idle workers go when nothing is left for them. A process that was told to go, or
// whose parent closes its pipe, or has ended, ends by itself; one that does not go within
// KillGrace is killed. attend closes pipes and memory, and tells Options.Left last. The pool
// holds its owner only by the functions of Options and by tasks that wait.
package procpool

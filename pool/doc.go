// Package pool has the pool of Python's multiprocessing: Map, Apply and Imap on
// goroutines ([Threads]: multiprocessing.pool.ThreadPool), on worker processes
// ([Processes]: multiprocessing.Pool), or on any executor ([Over]).
//
//	p := pool.Processes(4)
//	defer p.Close()
//
//	pages, err := pool.Map(ctx, p, fetch, urls)
//
// It is a thin layer over package executor, whose promises hold: what may cross
// to a process, how a call is cancelled, how long the ctx of a function goes on, what
// a panic or the death of a worker becomes. A [Pool] is an executor itself, so
// everything there works on it too.
//
// # What differs from Python
//
//   - Leaving Python's with-block terminates the pool, and work that is not
//     done is lost. Here defer p.Close() waits for it; [Pool.Terminate] does not.
//   - If items fail, [Map] returns the error of the lowest index, not of the first
//     to arrive, and the rest is cancelled instead of waited for. CollectErrors
//     keeps all.
//   - [Imap] pulls its source as the results are taken, not all at once, and goes
//     on after a failed item with any chunk size.
//   - A worker that dies fails the calls that it was making. In Python, they
//     never end.
//   - Terminate ends every call. In Python, a thread that waits for one waits for ever.
//   - There is no join: Close has waited. There is no starmap: several
//     arguments are a struct.
//
// With Go 1.27, the functions are methods of Pool too: p.Map(ctx, fetch, urls).
package pool

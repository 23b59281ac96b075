// Package executor is Python's concurrent.futures for Go: futures, and
// executors to run calls on, of which one is exchanged for another by changing
// one line.
//
//	ex := &executor.ThreadPoolExecutor{MaxWorkers: 4}
//	defer ex.Close()
//	f := executor.Submit(ctx, ex, parse, "main.go") // a *Future[Report]
//	report, err := f.Result(ctx)
//
// [Submit] calls a function, [Go] a closure; [Map] calls one for each item of an
// iterator, lazily, and [MapSlice] for each element of a slice, in bulk. [Wait],
// [AsCompleted] and [Gather] wait for many futures, [Await] for anything else. A
// [Promise] is a future that you complete yourself.
//
// # Executors
//
// [ThreadPoolExecutor] has a limited number of workers and a queue.
// [ProcessPoolExecutor] has worker processes instead of goroutines.
// [ThreadPerTask] gives each call a goroutine at once. [Sequential] makes each
// call before Submit returns, for debugging. They are structs whose zero value
// is ready to use. The pool of goroutines can be told to let a goroutine that waits
// for a call make it, see WaitersHelp there, and that of processes to send nothing
// ahead, see NoPrefetch. To write another, implement [Executor] and let package
// executortest tell whether it keeps the promises.
//
// # Worker processes
//
// A goroutine cannot be killed, and a fatal error in one ends the program. A
// worker process can be killed, and dies alone. It is this very program, in which
// [WorkerMain], the first line of main, makes calls instead of returning:
//
//	func init() { executor.Register(parse) }
//
//	func main() {
//		executor.WorkerMain()
//		ex := &executor.ProcessPoolExecutor{MaxWorkers: 4}
//		defer ex.Close()
//
// The rest is as above. What is different: functions are registered, see
// [Register]; arguments and results are copied, but for a [Shared]; values of ctx
// stay behind; an
// error keeps its text and the sentinels that it matches, see [RemoteError]; a
// call that does not return when its ctx ends is killed after KillGrace; a call
// whose worker dies ends with a [*WorkerDiedError], alone. In tests, TestMain is
// executortest.Main.
//
// # Promises
//
// Whatever the executor:
//
//   - A call that was taken ends, always. After Close, Submit returns a future
//     whose error is [ErrShutdown]; it does not panic.
//   - Cancel returns true exactly if the call is cancelled and never starts. A
//     cancelled future is done for everybody at once. A running call sees its
//     ctx end, and its future is done when the function has returned.
//   - The ctx of [Future.Result] and of the other waits bounds the wait. Its end
//     does not end the call, and the error matches [ErrPending], which tells it
//     from a call that timed out. The result of a call that has ended is
//     returned even when ctx has ended.
//   - A queued call whose ctx ends is cancelled at once, though all workers are
//     busy. Nothing is left on a ctx that lives on.
//   - The ctx of a call lives as long as that of Submit, also when its function has
//     returned; in a worker process it ends with the call. See [Submit].
//   - An operation that ctx ended says so in one error, the same on every executor: it
//     names what was called and matches ctx's error and its cause. See [Ended].
//   - A panic that nobody asks for is logged, see [IgnoreLostPanics].
//   - A panic is a [*PanicError] with value and stack, [runtime.Goexit] is
//     [ErrGoexit]; neither costs a worker. User functions never run on the
//     goroutine that submits or waits, unless WaitersHelp asks for that.
//   - A call that waits with its own ctx for calls of its own executor lends its
//     place meanwhile. It cannot deadlock, at any depth, and never more than
//     MaxWorkers calls execute at once. In a worker process, a pool is another
//     one, with workers of its own, so there is nothing to lend.
//   - An executor holds neither argument nor result of a call that has ended.
//   - Silly input is an error of the future or of the call that was given it.
//
// # What it does not do
//
// A wait with another ctx than the call's own, and a wait for anything that is not a future
// by other means than [Await], cannot be seen: if all workers wait like that for calls that
// are queued behind them, they wait for ever, as on any pool. Pass on the ctx that the
// function was given.
//
// A goroutine cannot be killed. A function that does not look at its ctx runs to
// its end, and Close waits for it. A fatal error of the Go runtime (a stack that
// overflows, concurrent writes to a map) ends the program. Worker processes are for
// that. They are no jail: a worker may do with files and the network what its
// parent may.
//
// Unlike Python, Go does not wait for pending work when main returns: what is
// not awaited by then is lost. Close the executor, or wait for the futures.
//
// To start a few goroutines and wait for them, sync.WaitGroup and its Go method
// are enough; to stop them at the first error, use golang.org/x/sync/errgroup.
package executor

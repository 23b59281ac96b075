// Package parallel has the loop of Python's joblib: calls made side by side, with
// one number that says how many at once.
//
//	// Parallel(n_jobs=4)(delayed(shrink)(p) for p in pictures)
//	sizes, err := parallel.Map(ctx, 4, shrink, pictures)
//
// The number is joblib's: 1 makes one call after another, -1 uses all CPUs, -2 all
// but one, and 0 is an error. [Parallel] takes calls of different functions, made
// with [Delayed]; [Run] and [Stream] take a [Jobs], which has the options: what
// runs the calls, a timeout for each, what happens after an error, and reports of
// progress. [WithConfig] sets them for a whole part of a program.
//
// It is a thin layer over package executor, whose promises hold. By default, calls
// run on goroutines; Jobs{Backend: "processes"} runs them in worker processes,
// Jobs{Executor: ex} wherever ex does.
//
// # Parallel inside Parallel
//
// The levels share the CPUs. A call of a Parallel with 4 jobs on 8 CPUs may use 2
// of them: there, -1 means 2, and no number means more. When one is left, the
// inner calls are made one after another. So nesting never starts more goroutines
// or processes than the outermost level asked for. In goroutines, the ctx that a
// call is given says what it may use: hand it on. In worker processes, it is
// GOMAXPROCS.
//
// # Results kept on disk
//
// [Cache] makes of a function one that answers from disk when it is called with an
// argument that was there before: joblib.Memory. [Hash] is the digest by which an
// argument is known.
//
//	memory := &parallel.Memory{Dir: "cache"}
//	features := parallel.Cache(memory, "features", "v3", computeFeatures)
//
// # What differs from Python
//
//   - Timeout is for each call, from its start; joblib's begins when the result is
//     waited for, and its end aborts all. It holds with one job, too.
//   - The error that stops a run is that of the lowest index, whichever comes
//     first, and calls before it are finished. joblib kills what runs.
//   - [Stream] is lazy: it is at most PreDispatch calls ahead of what was taken.
//     joblib's generator runs everything at once.
//   - PreDispatch is a number; there is no text that is evaluated.
//   - A Parallel may run while another does.
//   - A function with a memory has a name and a version of your choice, since Go cannot
//     see when its code changes. Calls that come while one runs wait for it; limits
//     are kept without being asked to; nothing that is read is code.
//   - What joblib prints with verbose has its form here too. But above 10 each batch has
//     its line, with one job too, and so have batches that end at once; below, how many
//     have ended decides, where joblib counts those that were sent. The line of the last
//     batch is the one that says that the run has finished. What makes the calls has its
//     name of this package.
//
// With Go 1.27, Run and Stream are methods of Jobs too, and Cache is one of Memory.
package parallel

// Package executortest helps to test executors, and services that use one.
//
// [Run] says whether an [executor.Executor] is one: it goes through a table of
// promises, each a sentence and a subtest. Every executor of this module passes
// it. Whoever writes one typically has this test:
//
//	func TestMyExecutor(t *testing.T) {
//		executortest.Run(t, func(workers int) executor.Executor {
//			return &my.Executor{Size: workers}
//		})
//	}
//
// [New] makes an executor for the tests of services: it makes one call at a
// time, in an order drawn from a seed that a failing test prints, and can fail,
// delay or cancel the n-th call. It belongs into a bubble of testing/synctest:
//
//	func TestService(t *testing.T) {
//		synctest.Test(t, func(t *testing.T) {
//			svc := service.New(executortest.New(t, executortest.Fail(3, io.ErrUnexpectedEOF)))
//			...
//		})
//	}
//
// An executor that was used outside of a bubble cannot be used inside one, because its
// channels, timers and idle workers stay outside: make one for each test.
//
// What the package does not do: Run measures no speed, and what cannot be seen
// from outside, it does not check; New finds orders in which calls may start,
// not data races inside of calls, for which there is the race detector.
package executortest

//go:build !linux

package executor_test

// isShared says that memory can be shared here.
const isShared = false

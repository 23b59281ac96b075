//go:build !unix

package disk

// atOnce is nothing where no folder has pipes and devices in it.
const atOnce = 0

//go:build race

package digest_test

func init() { isRace = true }

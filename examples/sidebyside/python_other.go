//go:build !unix

package main

import "os/exec"

func ownGroup(*exec.Cmd) {}

// killGroup kills the command. Its workers end when they find it gone.
func killGroup(cmd *exec.Cmd) { _ = cmd.Process.Kill() }

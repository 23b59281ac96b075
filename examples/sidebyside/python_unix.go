//go:build unix

package main

import (
	"os/exec"
	"syscall"
)

// ownGroup puts the command and its workers into a process group of their own: Ctrl-C
// in a terminal is then for this program alone, which ends them.
func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

func killGroup(cmd *exec.Cmd) { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }

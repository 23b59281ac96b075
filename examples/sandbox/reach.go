package main

import (
	"fmt"
	"os"
	"os/exec"
	"time"
	"unsafe"
)

// reach makes a statement that reaches beyond the program.
func (m *machine) reach(s statement) {
	var args []any
	for _, e := range s.args {
		args = append(args, m.eval(e))
	}
	switch s.keyword {
	case "PRINT":
		fmt.Println(args...)
	case "LOCK":
		m.lock.Lock()
	case "TIMER":
		go m.later(args[0].(int64), m.line(s.args[1]))
	case "SHELL":
		shell(args[0].(string))
	case "EXIT":
		os.Exit(int(args[0].(int64)))
	}
}

// later goes on at program[i], beside the program.
func (m *machine) later(milliseconds int64, i int) {
	time.Sleep(time.Duration(milliseconds) * time.Millisecond)
	m.run(i)
}

// shell runs a command, and leaves alone what that leaves behind.
func shell(command string) {
	cmd := exec.Command("sh", "-c", command)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		panic(fmt.Sprintf("SHELL: %v", err))
	}
}

// function calls a function of the language.
func function(name string, x int64) any {
	switch name {
	case "CHR":
		return string([]byte{byte(x)})
	case "PEEK":
		return peek(x)
	}
	panic("unknown function " + name)
}

// peek returns the byte at an address, as every BASIC does. There may be none,
// which is not a panic that could be recovered: it ends the process.
func peek(address int64) int64 {
	a := uintptr(address)
	return int64(**(**byte)(unsafe.Pointer(&a)))
}

package cli

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Folder returns the folder that the arguments name, with symbolic links resolved:
// filepath.WalkDir does not follow one, not even as its root. Without an argument,
// it is the source tree of the installed Go, of which the program wants what: "the
// source", or a part of it.
func (c Command) Folder(ctx context.Context, args []string, what string) (string, error) {
	if err := OneFolder(args); err != nil {
		return "", err
	}
	name := ""
	if len(args) == 1 {
		name = args[0]
	} else {
		var err error
		if name, err = c.goSource(ctx, what); err != nil {
			return "", err
		}
	}
	folder, err := filepath.EvalSymlinks(name)
	if err != nil {
		return "", BadInput("folder %s: %s", name, Reason(err))
	}
	if info, err := os.Stat(folder); err != nil || !info.IsDir() {
		return "", BadInput("%s is not a folder", name)
	}
	return folder, nil
}

// OneFolder returns an InputError if there is more than one argument.
func OneFolder(args []string) error {
	if len(args) > 1 {
		return BadInput("one folder, please, not %d: %s", len(args), strings.Join(args, " "))
	}
	return nil
}

// goSource returns the source tree of the installed Go. It asks the go command,
// because runtime.GOROOT speaks of the machine that built this program.
func (c Command) goSource(ctx context.Context, what string) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	root := strings.TrimSpace(string(out))
	if err != nil || root == "" {
		return "", BadInput("found no installed Go to take %s of (go env GOROOT: %v); name a folder: %s <folder>", what, err, c.Name)
	}
	source := filepath.Join(root, "src")
	if _, err := os.Stat(source); err != nil {
		return "", BadInput("the installed Go has no source tree (%s: %s); name a folder: %s <folder>", source, Reason(err), c.Name)
	}
	return source, nil
}

// Reason returns what err says, without the paths that its reader knows already.
func Reason(err error) string {
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		return pathErr.Err.Error()
	}
	if linkErr, ok := errors.AsType[*os.LinkError](err); ok {
		return linkErr.Err.Error()
	}
	return err.Error()
}

// Within returns path as seen from folder.
func Within(folder, path string) string {
	if rel, err := filepath.Rel(folder, path); err == nil {
		return rel
	}
	return path
}

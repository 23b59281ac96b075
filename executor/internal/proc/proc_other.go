//go:build !linux

package proc

import (
	"fmt"
	"os"
	"sync"
)

// executable is the file that this program was started from.
func executable() (string, error) { return os.Executable() }

// Emulator cannot tell here.
func Emulator() string { return "" }

// Build identifies this program: it is the same for two processes that run the
// same file.
var Build = sync.OnceValue(func() string {
	name, err := executable()
	if err != nil {
		return err.Error()
	}
	info, err := os.Stat(name)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%d:%d", info.Size(), info.ModTime().UnixNano())
})

func enlarge(*os.File) {}

// Watch leaves it to the reader of a pipe to find its end.
func (p *Process) Watch() {}

// leash is only where the system can signal a group when this process ends.
type leash struct{}

func newLeash() (*leash, error) { return nil, nil }
func (*leash) tie(int)          {}
func (*leash) close()           {}

func newDoor() (inside, outside *os.File, err error) { return nil, nil, nil }
func inheritDoor()                                   {}

// AnswerDoor has nothing to answer here.
func (p *Process) AnswerDoor() {}

func newShared() *Shared              { return nil }
func inheritShared() (*Shared, error) { return nil, nil }

// Trim gives back the pages of a part of it.
func (s *Shared) Trim([]byte) {}

func (s *Shared) closeFile() {}

// Close unmaps the memory.
func (s *Shared) Close() {}

// Resident cannot tell here.
func (p *Process) Resident() (n int64, ok bool) { return 0, false }

// OOMKills cannot tell here.
func OOMKills() (n int64, ok bool) { return 0, false }

func exitFile(*os.Process) *os.File { return nil }

func volunteer() {}

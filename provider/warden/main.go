// Command warden holds what isolates a container: gVisor's runtime. The command
// shim beside it watches one, and filter is part of its build.
//
// It is a program of its own, inside the plexus binary as compressed bytes,
// and not a subcommand, for three reasons. gVisor's sandbox executes itself
// where no C library is and under a system call filter that knows the Go
// runtime's threads but not a C library's, so it must be built without cgo,
// which plexus needs for its model engine. A small program costs little memory
// per container. And a container keeps the program it was started with when
// plexus is upgraded, so both ends of gVisor's control socket always match.
//
//	warden runsc …       gVisor's runsc
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

func main() {
	// gVisor runs this program again under names of its own, and from inside
	// the sandbox as /proc/self/exe.
	if name := filepath.Base(os.Args[0]); os.Args[0] == "/proc/self/exe" || strings.HasPrefix(name, "runsc") {
		if name == "runsc-sandbox" {
			prefilter()
		}
		runsc()
		return
	}
	if len(os.Args) < 2 || os.Args[1] != "runsc" {
		fmt.Fprintln(os.Stderr, "usage: warden runsc …; plexus runs this program by itself")
		os.Exit(2)
	}
	os.Args = append([]string{"runsc"}, os.Args[2:]...)
	runsc()
}

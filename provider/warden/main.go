// Command warden holds what a container needs beside it: the shim that watches
// it, and gVisor's runtime that isolates it.
//
// It is a program of its own, inside the plexus binary as compressed bytes,
// and not a subcommand, for three reasons. gVisor's sandbox executes itself
// where no C library is and under a system call filter that knows the Go
// runtime's threads but not a C library's, so it must be built without cgo,
// which plexus needs for its model engine. A small program costs little memory
// per container. And a container keeps the program it was started with when
// plexus is upgraded, so both ends of gVisor's control socket always match.
//
//	warden shim DIR      watch a container; see package shim
//	warden runsc …       gVisor's runsc
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/plexus-network/plexus/provider/shim"
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
	switch {
	case len(os.Args) == 3 && os.Args[1] == "shim":
		if err := shim.Run(os.Args[2], os.Stdin, os.NewFile(shim.Ready, "ready")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	case len(os.Args) > 1 && os.Args[1] == "runsc":
		os.Args = append([]string{"runsc"}, os.Args[2:]...)
		runsc()
	default:
		fmt.Fprintln(os.Stderr, "usage: warden shim DIR | warden runsc …; plexus runs this program by itself")
		os.Exit(2)
	}
}

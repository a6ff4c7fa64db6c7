// Command shim watches one container: see package provider/shim.
//
// It is a program of its own beside the warden, and inside the plexus binary as
// that is, because there is one per container, from before the container's
// start to its end: a fifteenth of gVisor's size is loaded before the disks and
// the network are made, and holds little memory.
//
//	shim watch DIR
package main

import (
	"fmt"
	"os"

	"github.com/plexus-network/plexus/provider/shim"
)

func main() {
	if len(os.Args) != 3 || os.Args[1] != "watch" {
		fmt.Fprintln(os.Stderr, "usage: shim watch DIR; plexus runs this program by itself")
		os.Exit(2)
	}
	if err := shim.Run(os.Args[2], os.Stdin, os.NewFile(shim.Ready, "ready")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

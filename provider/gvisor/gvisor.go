// Package gvisor runs workloads in gVisor's sandbox: a kernel in user space
// answers their system calls, so that the host's kernel is out of their reach.
//
// gVisor is part of the plexus binary, as the program of provider/warden,
// which `make warden` compiles and compresses into this package, with the shim
// that watches containers of any engine. It needs no KVM (its platform is
// systrap) and nothing installed. See those programs for why each is one of
// its own.
package gvisor

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"github.com/plexus-network/plexus/provider/gpu"
	"github.com/plexus-network/plexus/provider/oci"
	"github.com/plexus-network/plexus/provider/sandbox"
)

// program holds warden.gz and shim.gz when `make warden` has put them there.
//
//go:embed all:program
var program embed.FS

// ErrNotBuilt means that this binary was compiled without the sandbox.
var ErrNotBuilt = errors.New("gvisor: this plexus was built without its sandbox: build it with `make warden build`")

// What the sandbox itself takes of a replica's control group. Memory was
// measured at 20 to 30 MB for a sandbox that does nothing; its threads come and
// go with the work, and each of the tenant's processes is one of the host's
// with a few threads.
const (
	ownMemory = 48 << 20
	ownPids   = 256
	perPid    = 2
)

// files is the number after that of the last file of a sandbox: its kernel
// moves the program's three to 253 and on (runsc/boot/loader.go,
// startingStdioFD).
const files = 256

// Open opens an engine in o.Dir. If o.Shim is nil, it is the shim of this
// binary.
func Open(o oci.Options) (*oci.Engine, error) {
	path, err := Unpack(filepath.Join(o.Dir, "warden"))
	if err != nil {
		return nil, err
	}
	if o.Shim == nil {
		o.Shim = Shim(path)
	}
	return oci.Open(Runtime(path), o)
}

// Shim is the command line by which the shim beside the warden at path watches
// a container, with any engine's runtime.
func Shim(path string) []string { return []string{filepath.Join(filepath.Dir(path), "shim"), "watch"} }

// Unpack writes the warden and the shim below dir, into a folder named by their
// contents, and returns the warden's path. Earlier ones stay: what they run,
// they go on running.
func Unpack(dir string) (string, error) {
	sum := sha256.New()
	packed := map[string][]byte{}
	for _, name := range []string{"shim", "warden"} {
		text, err := program.ReadFile("program/" + name + ".gz")
		if err != nil {
			return "", ErrNotBuilt
		}
		sum.Write(text)
		packed[name] = text
	}
	at := filepath.Join(dir, hex.EncodeToString(sum.Sum(nil)[:8]))
	if err := os.MkdirAll(at, 0o711); err != nil {
		return "", err
	}
	for name, text := range packed {
		if err := unpack(text, filepath.Join(at, name)); err != nil {
			return "", fmt.Errorf("gvisor: unpack the %s: %w", name, err)
		}
	}
	return filepath.Join(at, "warden"), nil
}

// unpack makes a program at path, whole or not at all, unless it is there.
func unpack(packed []byte, path string) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	if err := inflate(packed, path+".new"); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

func inflate(packed []byte, path string) error {
	from, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return err
	}
	to, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, from)
	return errors.Join(err, to.Sync(), to.Close()) // a program cut short by a loss of power would stay
}

// Runtime describes the gVisor in the warden at path to package oci.
func Runtime(path string) oci.Runtime {
	return oci.Runtime{
		Name:    "gvisor",
		Command: []string{path, "runsc"},
		Flags:   flags,
		OwnDisk: true,
		Memory:  ownMemory,
		Pids:    ownPids,
		PerPid:  perPid,
		Files:   files,
		GPU:     func(ctx context.Context, k *gpu.Kit) ([]string, error) { return driverFlags(ctx, path, k) },
		Probe: func(ctx context.Context) error {
			out, err := exec.CommandContext(ctx, path, "runsc", "--version").CombinedOutput()
			if err != nil {
				return fmt.Errorf("%w: %s", err, bytes.TrimSpace(out))
			}
			return nil
		},
	}
}

// flags start a sandbox whose root is an overlay of w.Disk bytes, kept in a
// file of the folder disk that nobody else can open.
func flags(w sandbox.Workload, disk string) []string {
	return []string{
		"--platform=systrap",
		"--network=sandbox",
		"--overlay2=root:dir=" + disk + ",size=" + strconv.FormatInt(w.Disk, 10),
		"--host-settings=ignore",
		"--watchdog-action=panic", // a sandbox that hangs ends, and is seen to have ended
	}
}

// Package runc runs workloads by runc: as ordinary processes of the host's
// kernel in namespaces, control groups and a filter of system calls.
//
// It is for hosts and programs with which gVisor does not work, and for
// tenants whom the provider trusts: a fault in the kernel is a way out. Root in
// a container is root on the host behind those walls.
package runc

import (
	"context"
	"errors"
	"fmt"
	"os/exec"

	"github.com/plexus-network/plexus/provider/oci"
	"github.com/plexus-network/plexus/provider/sandbox"
)

// Open opens an engine in o.Dir with the runc that PATH names.
func Open(o oci.Options) (*oci.Engine, error) { return oci.Open(Runtime("runc"), o) }

// Runtime describes the runc at path to package oci.
func Runtime(path string) oci.Runtime {
	return oci.Runtime{
		Name:    "runc",
		Command: []string{path},
		Flags:   func(sandbox.Workload, string) []string { return nil },
		TTY:     []string{"--tty"},
		Probe: func(ctx context.Context) error {
			out, err := exec.CommandContext(ctx, path, "--version").CombinedOutput()
			if errors.Is(err, exec.ErrNotFound) {
				return fmt.Errorf("%w: install runc", err)
			}
			if err != nil {
				return fmt.Errorf("%w: %s", err, out)
			}
			return nil
		},
	}
}

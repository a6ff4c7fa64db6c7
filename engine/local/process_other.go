//go:build !linux

package local

import (
	"os"
	"syscall"
)

// dieWithParent asks for nothing: a worker ends when its pipe does.
func dieWithParent() *syscall.SysProcAttr { return nil }

// takeOutput returns the standard output.
func takeOutput() (*os.File, error) { return os.Stdout, nil }

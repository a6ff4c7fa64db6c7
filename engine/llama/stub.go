//go:build !cgo

package llama

import (
	"errors"

	"github.com/plexus-network/plexus/engine/batch"
)

// Available tells whether this program was built with the native engine.
const Available = false

// Open always fails: this program was built without cgo.
func Open(string, Options) (*batch.Engine, error) {
	return nil, errors.New("llama: this program was built without cgo (CGO_ENABLED=0), so it has no native engine; use the reference engine or build with a C++ compiler")
}

// Devices returns nothing: there is no native code.
func Devices() []Device { return nil }

// Compiled returns nothing: there is no native code.
func Compiled() Build { return Build{} }

package local

import (
	"fmt"
	"os"
	"path/filepath"
)

// Accelerators lists the back end for graphics processors that "make
// accelerator" left beside this program, if any.
func Accelerators() ([]string, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	if target, err := filepath.EvalSymlinks(self); err == nil {
		self = target
	}
	// One is enough, and two would share the device: the fastest comes first.
	for _, name := range []string{"libggml-cuda.so", "libggml-hip.so", "libggml-vulkan.so"} {
		path := filepath.Join(filepath.Dir(self), name)
		if _, err := os.Stat(path); err == nil {
			return []string{path}, nil
		}
	}
	return nil, nil
}

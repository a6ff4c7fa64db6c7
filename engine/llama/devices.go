//go:build cgo

package llama

/*
#include <stdlib.h>
#include "abi.h"
*/
import "C"

import (
	"fmt"
	"os"
	"sync"
	"unsafe"
)

// accelerators are the libraries that this process has loaded. ggml keeps them
// for good.
var accelerators = struct {
	sync.Mutex
	loaded map[string]bool
}{loaded: map[string]bool{}}

// accelerate loads ggml's back end at path, a library built by "make
// accelerator": models that are opened from then on are computed by the devices
// that it finds, if there are any.
func accelerate(path string) error {
	accelerators.Lock()
	defer accelerators.Unlock()
	if accelerators.loaded[path] {
		return nil
	}
	if _, err := os.Stat(path); err != nil {
		return fmt.Errorf("accelerator: %w", err)
	}
	name := C.CString(path)
	defer C.free(unsafe.Pointer(name))
	C.plexus_log_take()
	if C.ggml_backend_load(name) == nil {
		return fmt.Errorf("accelerator %s: %s; build it on this machine by make accelerator", path, said())
	}
	accelerators.loaded[path] = true
	return nil
}

// accelerated tells whether this process has loaded an accelerator.
func accelerated() bool {
	accelerators.Lock()
	defer accelerators.Unlock()
	return len(accelerators.loaded) > 0
}

// Devices lists what computes beside the processor.
func Devices() []Device {
	var all []Device
	for i := range C.ggml_backend_dev_count() {
		d := C.ggml_backend_dev_get(i)
		if C.ggml_backend_dev_type(d) == 0 {
			continue
		}
		var free, total C.size_t
		C.ggml_backend_dev_memory(d, &free, &total)
		all = append(all, Device{
			Name:  C.GoString(C.ggml_backend_dev_name(d)),
			Model: C.GoString(C.ggml_backend_dev_description(d)),
			Free:  uint64(free), Memory: uint64(total),
		})
	}
	return all
}

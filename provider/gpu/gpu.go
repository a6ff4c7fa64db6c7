// Package gpu finds a machine's graphics processors, and what of their driver
// a container needs to compute on them.
//
// It needs no library of a vendor: [Find] reads what the kernel and the driver
// tell in /dev, /proc and /sys, and asks nvidia-smi for what is missing, if it
// is installed. [Kit.Grant] says which device nodes and files of the driver go
// into a container; a CDI specification in /etc/cdi or /var/run/cdi, as a
// vendor's toolkit writes it, says so in its place.
package gpu

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/plexus-network/plexus/provider/sandbox"
)

// A Device is a graphics processor of a machine.
type Device struct {
	sandbox.GPU
	Name string // in its vendor's words; "" if nothing tells
	UUID string // "" if nothing tells
	Bus  string // its address on the PCI bus, as 0000:3b:00.0; "" if nothing tells
}

// A Machine is what [Find] found.
type Machine struct {
	Devices []Device // by number
	Driver  string   // its version, as 580.105.08; "" if there is none
}

// nvidia is the vendor's number on the PCI bus.
const nvidia = "0x10de"

// ErrUnknown means that a device was found and that nothing tells its model or
// memory.
var ErrUnknown = errors.New("gpu: unknown model")

// Find looks for the graphics processors of the machine whose root folder is
// root, "/" for this one. A machine without any is no error.
func Find(ctx context.Context, root string) (Machine, error) {
	var m Machine
	numbers, err := nodes(root)
	if err != nil || len(numbers) == 0 {
		return m, err
	}
	if m.Driver, err = Driver(root); err != nil {
		return m, err
	}
	told := informed(root)
	onBus, err := bus(root)
	if err != nil {
		return m, err
	}
	for i, n := range numbers {
		d := Device{GPU: sandbox.GPU{Number: n, Vendor: "nvidia"}}
		if known, ok := told[n]; ok {
			d.Name, d.UUID, d.Bus = known.Name, known.UUID, known.Bus
		} else if len(onBus) == len(numbers) {
			d.Bus = onBus[i].address // the driver numbers devices in the bus's order
		}
		for _, p := range onBus {
			if p.address == d.Bus {
				d.GPU = p.describe(d.GPU)
			}
		}
		m.Devices = append(m.Devices, d)
	}
	if err := complete(ctx, root, m.Devices); err != nil {
		return m, err
	}
	return m, nil
}

// complete fills in what names tell, and asks nvidia-smi about the rest.
func complete(ctx context.Context, root string, all []Device) error {
	var rows []row
	vague := slices.ContainsFunc(all, func(d Device) bool { return d.Memory == 0 || d.UUID == "" })
	if vague && root == "/" {
		rows = ask(ctx)
	}
	for i := range all {
		d := &all[i]
		for _, r := range rows {
			if r.bus == d.Bus || d.Bus == "" && r.index == i {
				d.Name, d.UUID, d.Bus = cmp.Or(d.Name, r.name), cmp.Or(d.UUID, r.uuid), r.bus
				if d.Memory == 0 {
					d.Memory = marketed(r.mebibytes)
				}
			}
		}
		model, memory, bus := Normalise(d.Name)
		d.Model, d.Interface = cmp.Or(d.Model, model), cmp.Or(d.Interface, bus)
		if d.Memory == 0 {
			d.Memory = memory
		}
		if d.Interface == "" {
			d.Interface = "pcie"
			if slices.Contains([]string{"h200", "b200", "b300"}, d.Model) {
				d.Interface = "sxm" // their names say so only if they are none
			}
		}
		if d.Model == "" || d.Memory == 0 {
			return fmt.Errorf("%w: /dev/nvidia%d is %q with %d bytes as far as this machine tells; name it with --gpu %d=nvidia/MODEL/RAM/INTERFACE, as nvidia/h100/80Gi/sxm",
				ErrUnknown, d.Number, cmp.Or(d.Name, d.Model), d.Memory, d.Number)
		}
	}
	return nil
}

var isNode = regexp.MustCompile(`^nvidia([0-9]{1,3})$`)

// nodes are the numbers of the devices that have a node, in order.
func nodes(root string) ([]int, error) {
	entries, err := os.ReadDir(filepath.Join(root, "dev"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all []int
	for _, e := range entries {
		if m := isNode.FindStringSubmatch(e.Name()); m != nil {
			n, _ := strconv.Atoi(m[1]) // three digits
			all = append(all, n)
		}
	}
	slices.Sort(all)
	return all, nil
}

var isVersion = regexp.MustCompile(`\b[0-9]{3,4}\.[0-9]{2,3}(\.[0-9]{2,3})?\b`)

// Driver returns the version of the driver that is loaded on the machine whose
// root folder is root.
func Driver(root string) (string, error) {
	for _, file := range []string{"proc/driver/nvidia/version", "sys/module/nvidia/version"} {
		text, err := os.ReadFile(filepath.Join(root, file))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", err
		}
		line, _, _ := strings.Cut(string(text), "\n")
		if v := isVersion.FindString(line); v != "" {
			return v, nil
		}
		return "", fmt.Errorf("gpu: %s tells no version of the driver: %.100q", filepath.Join(root, file), line)
	}
	return "", fmt.Errorf("gpu: there is /dev/nvidia0 or the like, but neither /proc/driver/nvidia/version nor /sys/module/nvidia/version: load the driver with modprobe nvidia")
}

// informed reads what the driver tells of its devices, by number. Some
// machines have no such folder.
func informed(root string) map[int]Device {
	files, _ := filepath.Glob(filepath.Join(root, "proc/driver/nvidia/gpus/*/information"))
	all := map[int]Device{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // the device went away
		}
		d := Device{Bus: filepath.Base(filepath.Dir(file))}
		number := -1
		for line := range strings.Lines(string(text)) {
			key, value, _ := strings.Cut(line, ":")
			value = strings.TrimSpace(value)
			switch strings.TrimSpace(key) {
			case "Model":
				d.Name = value
			case "GPU UUID":
				d.UUID = value
			case "Device Minor":
				if n, err := strconv.Atoi(value); err == nil {
					number = n
				}
			}
		}
		if strings.Contains(d.UUID, "?") {
			d.UUID = "" // so the driver writes before it has started the device
		}
		if number >= 0 {
			d.Number = number
			all[number] = d
		}
	}
	return all
}

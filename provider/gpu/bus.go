package gpu

import (
	"context"
	"encoding/csv"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/plexus-network/plexus/provider/sandbox"
)

// A place is a device on the PCI bus.
type place struct{ address, device string }

// bus finds the vendor's graphics processors on the PCI bus, in its order.
func bus(root string) ([]place, error) {
	dirs, err := filepath.Glob(filepath.Join(root, "sys/bus/pci/devices/*"))
	if err != nil {
		return nil, err
	}
	var all []place
	for _, dir := range dirs {
		read := func(name string) string {
			text, _ := os.ReadFile(filepath.Join(dir, name)) // what is not there is not it
			return strings.TrimSpace(string(text))
		}
		class := read("class")
		// 0x0300: a display's, 0x0302: one without a connector.
		if read("vendor") == nvidia && (strings.HasPrefix(class, "0x0300") || strings.HasPrefix(class, "0x0302")) {
			all = append(all, place{filepath.Base(dir), strings.TrimPrefix(read("device"), "0x")})
		}
	}
	return all, nil // Glob sorts
}

// A part is what a device's number on the PCI bus says.
type part struct {
	model string
	gib   int64
	bus   string
}

// parts are the boards that are rented out most. The others are told by name.
//
// Source: the PCI ID Repository, pci-ids.ucw.cz, vendor 10de.
var parts = map[string]part{
	"15f8": {"p100", 16, "pcie"}, "15f9": {"p100", 16, "sxm"}, "1b38": {"p40", 24, "pcie"}, "1bb3": {"p4", 8, "pcie"},
	"1db1": {"v100", 16, "sxm"}, "1db4": {"v100", 16, "pcie"}, "1db5": {"v100", 32, "sxm"}, "1db6": {"v100", 32, "pcie"},
	"1eb8": {"t4", 16, "pcie"},
	"20b0": {"a100", 40, "sxm"}, "20b2": {"a100", 80, "sxm"}, "20b5": {"a100", 80, "pcie"}, "20f1": {"a100", 40, "pcie"},
	"20b7": {"a30", 24, "pcie"}, "2235": {"a40", 48, "pcie"}, "2236": {"a10", 24, "pcie"}, "2237": {"a10g", 24, "pcie"},
	"2204": {"rtx3090", 24, "pcie"}, "2230": {"rtxa6000", 48, "pcie"}, "2231": {"rtxa5000", 24, "pcie"},
	"2684": {"rtx4090", 24, "pcie"}, "26b1": {"rtx6000ada", 48, "pcie"},
	"26b5": {"l40", 48, "pcie"}, "26b9": {"l40s", 48, "pcie"}, "27b8": {"l4", 24, "pcie"},
	"2321": {"h100", 94, "pcie"}, "2330": {"h100", 80, "sxm"}, "2331": {"h100", 80, "pcie"},
	"2335": {"h200", 141, "sxm"}, "233b": {"h200", 141, "pcie"},
	"2901": {"b200", 180, "sxm"}, "2b85": {"rtx5090", 32, "pcie"},
}

func (p place) describe(g sandbox.GPU) sandbox.GPU {
	known, ok := parts[p.device]
	if !ok {
		return g
	}
	g.Model, g.Memory, g.Interface = known.model, known.gib<<30, known.bus
	return g
}

// A row is what nvidia-smi tells of a device.
type row struct {
	index           int
	uuid, name, bus string
	mebibytes       int64
}

// ask asks nvidia-smi. No program, or none that works, is no answer.
func ask(ctx context.Context) []row {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	program := "nvidia-smi"
	if _, err := exec.LookPath(program); err != nil {
		program = "/usr/local/nvidia/bin/nvidia-smi"
	}
	cmd := exec.CommandContext(ctx, program, "--query-gpu=index,uuid,name,memory.total,pci.bus_id", "--format=csv,noheader,nounits")
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	out, err := cmd.Output()
	if err != nil {
		return nil
	}
	return rows(string(out))
}

// rows reads its table. Lines that are none are left out.
func rows(text string) []row {
	var all []row
	for line := range strings.Lines(text) {
		r := csv.NewReader(strings.NewReader(line))
		r.TrimLeadingSpace = true
		f, err := r.Read()
		if err != nil || len(f) != 5 {
			continue
		}
		index, err := strconv.Atoi(f[0])
		if err != nil {
			continue
		}
		mebibytes, _ := strconv.ParseInt(f[3], 10, 32) // "[N/A]" where memory is shared
		// It writes 00000000:3B:00.0, and the kernel 0000:3b:00.0.
		bus := strings.ToLower(f[4])
		if len(bus) == len("00000000:3b:00.0") {
			bus = bus[4:]
		}
		all = append(all, row{index, f[1], f[2], bus, mebibytes})
	}
	return all
}

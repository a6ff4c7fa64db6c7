package gpu

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/plexus-network/plexus/provider/sandbox"
)

// tree makes files below a folder that stands for a machine's root.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		file := filepath.Join(root, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

const loaded = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.105.08  Release Build  (dvs-builder@U22)\nGCC version:  gcc 12.3.0\n"

// information is what the driver writes of a device.
func information(model, uuid string, number int) string {
	return fmt.Sprintf("Model: \t\t %s\nIRQ:   \t\t 148\nGPU UUID: \t %s\nVideo BIOS: \t 96.00.74.00.01\nBus Type: \t PCIe\nDevice Minor: \t %d\n", model, uuid, number)
}

func onBus(files map[string]string, address, device, class string) {
	dir := "sys/bus/pci/devices/" + address + "/"
	files[dir+"vendor"], files[dir+"device"], files[dir+"class"] = "0x10de\n", "0x"+device+"\n", class+"\n"
}

func TestFind(t *testing.T) {
	h100s := map[string]string{"dev/nvidia0": "", "dev/nvidia1": "", "dev/nvidiactl": "", "dev/nvidia-uvm": "", "proc/driver/nvidia/version": loaded}
	h100s["proc/driver/nvidia/gpus/0000:1b:00.0/information"] = information("NVIDIA H100 80GB HBM3", "GPU-1b", 1)
	h100s["proc/driver/nvidia/gpus/0000:3b:00.0/information"] = information("NVIDIA H100 80GB HBM3", "GPU-3b", 0)
	onBus(h100s, "0000:1b:00.0", "2330", "0x030200")
	onBus(h100s, "0000:3b:00.0", "2330", "0x030200")
	onBus(h100s, "0000:05:00.0", "22a3", "0x068000") // a switch of the same vendor

	a100 := map[string]string{"dev/nvidia0": "", "proc/driver/nvidia/version": loaded}
	a100["proc/driver/nvidia/gpus/0000:00:04.0/information"] = information("NVIDIA A100-SXM4-40GB", "GPU-????????-????", 0)

	mixed := map[string]string{"dev/nvidia0": "", "dev/nvidia1": "", "sys/module/nvidia/version": "570.195.03\n"} // no folder of devices
	onBus(mixed, "0000:01:00.0", "2684", "0x030000")
	onBus(mixed, "0000:41:00.0", "20b5", "0x030200")

	for name, c := range map[string]struct {
		files  map[string]string
		driver string
		want   []string
	}{
		"none":              {nil, "", nil},
		"a display of ours": {map[string]string{"dev/dri/card0": "", "dev/nvidia-modeset": ""}, "", nil},
		"h100":              {h100s, "580.105.08", []string{"0=nvidia/h100/80Gi/sxm GPU-3b 0000:3b:00.0", "1=nvidia/h100/80Gi/sxm GPU-1b 0000:1b:00.0"}},
		"a100 by name":      {a100, "580.105.08", []string{"0=nvidia/a100/40Gi/sxm  0000:00:04.0"}},
		"by the bus alone":  {mixed, "570.195.03", []string{"0=nvidia/rtx4090/24Gi/pcie  0000:01:00.0", "1=nvidia/a100/80Gi/pcie  0000:41:00.0"}},
	} {
		m, err := Find(t.Context(), tree(t, c.files))
		if err != nil || m.Driver != c.driver || len(m.Devices) != len(c.want) {
			t.Errorf("%s: %+v, %v, want %q with driver %q", name, m, err, c.want, c.driver)
			continue
		}
		for i, d := range m.Devices {
			text, _ := d.MarshalText()
			if got := fmt.Sprintf("%s %s %s", text, d.UUID, d.Bus); got != c.want[i] {
				t.Errorf("%s: device %d is %q, want %q", name, i, got, c.want[i])
			}
		}
	}
}

func TestFindSaysWhatItCannotTell(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		want  string
	}{
		"no driver": {map[string]string{"dev/nvidia0": ""}, "modprobe nvidia"},
		"no model":  {map[string]string{"dev/nvidia3": "", "proc/driver/nvidia/version": loaded}, "--gpu 3=nvidia/MODEL"},
		"garbage":   {map[string]string{"dev/nvidia0": "", "proc/driver/nvidia/version": "hello\n"}, "no version"},
	} {
		if m, err := Find(t.Context(), tree(t, c.files)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %+v, %v, want %q", name, m, err, c.want)
		}
	}
}

func TestNormalise(t *testing.T) {
	for name, want := range map[string]string{
		"NVIDIA H100 80GB HBM3":               "h100 80 sxm",
		"NVIDIA H100 PCIe":                    "h100 0 pcie",
		"NVIDIA H100 NVL":                     "h100 0 pcie",
		"NVIDIA A100-SXM4-80GB":               "a100 80 sxm",
		"NVIDIA A100-PCIE-40GB":               "a100 40 pcie",
		"Tesla V100-SXM2-16GB":                "v100 16 sxm",
		"Tesla T4":                            "t4 0 ",
		"NVIDIA L40S":                         "l40s 0 ",
		"NVIDIA GeForce RTX 4090":             "rtx4090 0 pcie",
		"NVIDIA GeForce RTX 3080 Ti":          "rtx3080ti 0 pcie",
		"NVIDIA RTX A6000":                    "rtxa6000 0 pcie",
		"NVIDIA RTX 6000 Ada Generation":      "rtx6000ada 0 pcie",
		"NVIDIA GeForce RTX 4060 Laptop GPU":  "rtx4060 0 pcie",
		"":                                    " 0 ",
		"NVIDIA Graphics Device":              " 0 ",
		"NVIDIA " + strings.Repeat("x", 1000): " 0 ",
		"\x00\xff/../..":                      " 0 ",
	} {
		model, memory, bus := Normalise(name)
		if got := fmt.Sprintf("%s %d %s", model, memory>>30, bus); got != want {
			t.Errorf("%.40q is %q, want %q", name, got, want)
		}
	}
}

func FuzzNormalise(f *testing.F) {
	f.Add("NVIDIA H100 80GB HBM3")
	f.Fuzz(func(t *testing.T, name string) {
		model, memory, bus := Normalise(name)
		if model != "" && !isModel.MatchString(model) || memory < 0 || bus != "" && bus != "sxm" && bus != "pcie" {
			t.Errorf("%q is %q, %d, %q", name, model, memory, bus)
		}
	})
}

func TestRows(t *testing.T) {
	got := rows("0, GPU-a1, NVIDIA H100 80GB HBM3, 81559, 00000000:3B:00.0\n1, GPU-b2, NVIDIA L40S, 46068, 00000001:41:00.0\nnothing\n2, GPU-c3, NVIDIA GH200, [N/A], 00000009:01:00.0\n")
	if len(got) != 3 || got[0] != (row{0, "GPU-a1", "NVIDIA H100 80GB HBM3", "0000:3b:00.0", 81559}) || got[2].mebibytes != 0 || got[1].bus != "0001:41:00.0" {
		t.Errorf("read %+v", got)
	}
	for mebibytes, gib := range map[int64]int64{81559: 80, 46068: 48, 23028: 24, 15360: 16, 95830: 94, 143771: 141, 40960: 40, 32607: 32, 0: 0, 500_000: 489} {
		if got := marketed(mebibytes) >> 30; got != gib {
			t.Errorf("%d MiB are sold as %d GiB, want %d", mebibytes, got, gib)
		}
	}
}

func TestDeviceText(t *testing.T) {
	var d Device
	if err := d.UnmarshalText([]byte("3=nvidia/h100/80Gi/sxm")); err != nil || d.GPU != (sandbox.GPU{Number: 3, Vendor: "nvidia", Model: "h100", Memory: 80 << 30, Interface: "sxm"}) {
		t.Errorf("read %+v, %v", d, err)
	}
	for text, want := range map[string]string{
		"": "want a number", "h100": "want a number", "0=nvidia/h100": "want a number", "-1=nvidia/h100/80Gi/sxm": "want a number",
		"0=amd/mi300/192Gi/sxm": "vendor", "0=nvidia/H100/80Gi/sxm": "model", "0=nvidia/h100/80GB/sxm": "memory", "0=nvidia/h100/0Gi/sxm": "memory",
		"0=nvidia/h100/80Gi/nvlink": "interface", "0=nvidia/h1 00/80Gi/sxm": "model",
	} {
		if err := d.UnmarshalText([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

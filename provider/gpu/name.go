package gpu

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// words that say nothing of a model, or are told apart from it.
var idle = []string{
	"nvidia", "geforce", "tesla", "quadro", "corporation", "graphics", "device", "generation", "edition", "workstation",
	"server", "laptop", "gpu", "hbm2", "hbm2e", "hbm3", "hbm3e", "pcie", "nvl", "sxm", "pg506", "mig",
}

var (
	size   = regexp.MustCompile(`^([0-9]{1,4})gb?$`)
	socket = regexp.MustCompile(`^sxm[0-9]?$`)
)

// Normalise reads a vendor's name of a device as the market spells it: "NVIDIA
// H100 80GB HBM3" is model h100 with 80 GiB on an sxm board. What the name
// does not tell is "" or 0.
//
// Source: the spellings of Akash's provider attributes, as h100, a100,
// rtx4090, rtxa6000, l40s, with ram in Gi and interface sxm or pcie.
func Normalise(name string) (model string, memory int64, bus string) {
	words := strings.FieldsFunc(strings.ToLower(name), func(r rune) bool { return r == ' ' || r == '-' || r == '_' || r == '/' })
	var kept []string
	for _, w := range words {
		if m := size.FindStringSubmatch(w); m != nil {
			n, _ := strconv.ParseInt(m[1], 10, 32) // four digits
			memory = n << 30
			continue
		}
		switch {
		case socket.MatchString(w) || w == "hbm3" && !slices.Contains(words, "pcie"):
			bus = "sxm"
		case w == "pcie" || w == "nvl" || w == "rtx" || w == "geforce" || w == "quadro":
			bus = "pcie"
		}
		if !slices.Contains(idle, w) && !socket.MatchString(w) {
			kept = append(kept, w)
		}
	}
	model = strings.Join(kept, "")
	if !isModel.MatchString(model) {
		return "", memory, bus
	}
	return model, memory, bus
}

var isModel = regexp.MustCompile(`^[a-z0-9][a-z0-9.\-]{0,30}$`)

// marketed returns the bytes that a device of so many MiB is sold with: the
// driver keeps some for itself, and counts what error correction takes.
func marketed(mebibytes int64) int64 {
	for _, gib := range []int64{2, 4, 6, 8, 10, 11, 12, 16, 20, 24, 32, 40, 48, 64, 80, 94, 96, 128, 141, 180, 192, 268, 288} {
		if mebibytes <= gib<<10 && mebibytes > 0 {
			return gib << 30
		}
	}
	return (mebibytes + 1023) >> 10 << 30
}

// MarshalText writes a device as an operator names it: its number and kind, as
// "0=nvidia/h100/80Gi/sxm".
func (d Device) MarshalText() ([]byte, error) {
	return fmt.Appendf(nil, "%d=%s/%s/%dGi/%s", d.Number, d.Vendor, d.Model, d.Memory>>30, d.Interface), nil
}

// UnmarshalText reads what [Device.MarshalText] writes.
func (d *Device) UnmarshalText(text []byte) error {
	read, err := parse(string(text))
	if err == nil {
		*d = read
	}
	return err
}

func parse(text string) (Device, error) {
	var d Device
	number, kind, _ := strings.Cut(text, "=")
	n, err := strconv.Atoi(number)
	part := strings.Split(kind, "/")
	if err != nil || n < 0 || n > 255 || len(part) != 4 {
		return d, fmt.Errorf("%q: want a number and a kind, as 0=nvidia/h100/80Gi/sxm", text)
	}
	gib, ok := strings.CutSuffix(part[2], "Gi")
	ram, err := strconv.ParseInt(gib, 10, 64)
	switch {
	case part[0] != "nvidia":
		return d, fmt.Errorf("%q: vendor %q; only nvidia's can be sold", text, part[0])
	case !isModel.MatchString(part[1]):
		return d, fmt.Errorf("%q: model %q; write it as h100 or rtx4090, in small letters and digits", text, part[1])
	case !ok || err != nil || ram <= 0 || ram > 4096:
		return d, fmt.Errorf("%q: memory %q; write it in Gi, as 80Gi", text, part[2])
	case part[3] != "sxm" && part[3] != "pcie":
		return d, fmt.Errorf("%q: interface %q; want sxm or pcie", text, part[3])
	}
	d.Number, d.Vendor, d.Model, d.Memory, d.Interface = n, part[0], part[1], ram<<30, part[3]
	return d, nil
}

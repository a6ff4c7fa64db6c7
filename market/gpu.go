package market

import (
	"fmt"
	"path"
	"strings"
)

// GPUKind is a kind of graphics processor. What is "" is not said of it.
type GPUKind struct {
	Vendor    string // as "nvidia"
	Model     string // as "h100"; a pattern of path.Match where a tenant asks
	RAM       string // as "80Gi"
	Interface string // "sxm" or "pcie"
}

// ParseGPUKind reads a key such as
// vendor/nvidia/model/h100/ram/80Gi/interface/sxm, of which ram and interface
// may be missing.
func ParseGPUKind(key string) (GPUKind, error) {
	parts := strings.Split(key, "/")
	var k GPUKind
	for i := 0; i+1 < len(parts); i += 2 {
		to := map[string]*string{"vendor": &k.Vendor, "model": &k.Model, "ram": &k.RAM, "interface": &k.Interface}[parts[i]]
		if to == nil || *to != "" || parts[i+1] == "" {
			return GPUKind{}, fmt.Errorf("market: %q is no kind of GPU, as in vendor/nvidia/model/h100/ram/80Gi/interface/sxm", key)
		}
		*to = parts[i+1]
	}
	if k.Vendor == "" || k.Model == "" || k.Key() != key {
		return GPUKind{}, fmt.Errorf("market: %q is no kind of GPU, as in vendor/nvidia/model/h100/ram/80Gi/interface/sxm", key)
	}
	return k, nil
}

// Key writes k as attributes do.
func (k GPUKind) Key() string {
	key := "vendor/" + k.Vendor + "/model/" + k.Model
	if k.RAM != "" {
		key += "/ram/" + k.RAM
	}
	if k.Interface != "" {
		key += "/interface/" + k.Interface
	}
	return key
}

// String formats k for people, as in "nvidia/h100/80Gi/sxm".
func (k GPUKind) String() string {
	parts := []string{k.Vendor, k.Model}
	for _, p := range []string{k.RAM, k.Interface} {
		if p != "" {
			parts = append(parts, p)
		}
	}
	return strings.Join(parts, "/")
}

// Keys are all keys that are true of a device of kind k, from the one that
// says least to k's own.
func (k GPUKind) Keys() []string {
	keys := []string{GPUKind{k.Vendor, k.Model, "", ""}.Key()}
	if k.RAM != "" {
		keys = append(keys, GPUKind{k.Vendor, k.Model, k.RAM, ""}.Key())
	}
	if k.Interface != "" {
		keys = append(keys, GPUKind{k.Vendor, k.Model, "", k.Interface}.Key())
	}
	if k.RAM != "" && k.Interface != "" {
		keys = append(keys, k.Key())
	}
	return keys
}

// Fits tells whether a device of kind k is one that a key asks for.
func (k GPUKind) Fits(key string) bool {
	for _, has := range k.Keys() {
		if matched, err := path.Match(key, has); err == nil && matched {
			return true
		}
	}
	return false
}

// Differs names what of k is not as a key asks: "vendor", "model", "ram",
// "interface". It is empty where k fits, and names nothing for a key that is
// no kind.
func (k GPUKind) Differs(key string) []string {
	want, err := ParseGPUKind(key)
	if err != nil {
		return nil
	}
	var names []string
	for _, p := range []struct{ name, want, has string }{
		{"vendor", want.Vendor, k.Vendor}, {"model", want.Model, k.Model}, {"ram", want.RAM, k.RAM}, {"interface", want.Interface, k.Interface},
	} {
		if matched, err := path.Match(p.want, p.has); p.want != "" && (err != nil || !matched) {
			names = append(names, p.name)
		}
	}
	return names
}

// offers tells whether a kind that a provider names is one that w asks for: in
// these words, or in more of them.
func offers(kind, w Attribute) bool {
	if covers(w, Attributes{kind}) {
		return true
	}
	k, err := ParseGPUKind(kind.Key)
	return err == nil && kind.Value == w.Value && k.Fits(w.Key)
}

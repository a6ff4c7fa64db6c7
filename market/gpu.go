package market

import (
	"fmt"
	"path"
	"slices"
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

// device tells whether k names one kind of device: no part of it is a pattern.
func (k GPUKind) device() bool { return !strings.ContainsAny(k.Key(), `*?[\`) }

// considerGPU tells why what a bid names as the GPUs of a unit is not what an
// order asks for, or nil. A bid says one of two things:
//
//   - the order's own list, word for word, pattern or not: any of these;
//   - or the kinds that it gives, each a device that the order asks for, in the
//     order's words or in more of them. Where the order says nothing of the
//     kind, that is any device.
//
// More words bind the provider, never the tenant: the bid stays beside the lease
// that it becomes, and says which device the lease is owed. So a kind that a bid
// chooses must be one that the provider claims in its attributes, word for word,
// where auditors and tenants read it; claims are the provider's attributes below
// capabilities/gpu/. Fewer words than the order's, another device, a pattern of
// the bid's own, or a kind named twice are refused.
func considerGPU(offered, wanted GPU, claims Attributes) error {
	if offered.Units != wanted.Units {
		return fmt.Errorf("%d GPUs, and %d are asked for", offered.Units, wanted.Units)
	}
	if slices.Equal(offered.Attributes, wanted.Attributes) {
		return nil
	}
	if wanted.Units == 0 || len(offered.Attributes) == 0 {
		return fmt.Errorf("GPUs of %d kinds, and %d of %d kinds are asked for", len(offered.Attributes), wanted.Units, len(wanted.Attributes))
	}
	for i, kind := range offered.Attributes {
		k, err := ParseGPUKind(kind.Key)
		switch {
		case err != nil:
			return err
		case !k.device():
			return fmt.Errorf("a GPU of %s, which is a pattern: name a device, or repeat the order's list", k)
		case !asked(k, kind.Value, wanted.Attributes):
			return fmt.Errorf("a GPU of %s, which is none of those asked for", k)
		case !slices.Contains(claims, kind):
			return fmt.Errorf("a GPU of %s, and the provider does not claim attribute capabilities/gpu/%s=%s", k, kind.Key, kind.Value)
		case slices.Contains(offered.Attributes[:i], kind):
			return fmt.Errorf("a GPU of %s twice", k)
		}
	}
	return nil
}

// asked tells whether a device is one of those wanted. Nothing said is any.
func asked(k GPUKind, value string, wanted Attributes) bool {
	if len(wanted) == 0 {
		return value == "true"
	}
	return slices.ContainsFunc(wanted, func(w Attribute) bool { return w.Value == value && k.Fits(w.Key) })
}

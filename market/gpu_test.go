package market

import (
	"slices"
	"strings"
	"testing"
)

func TestGPUKindReadsWhatItWrites(t *testing.T) {
	for _, key := range []string{
		"vendor/nvidia/model/h100", "vendor/nvidia/model/h100/ram/80Gi", "vendor/nvidia/model/h100/interface/sxm",
		"vendor/nvidia/model/h100/ram/80Gi/interface/sxm", "vendor/nvidia/model/*",
	} {
		k, err := ParseGPUKind(key)
		if err != nil || k.Key() != key || k.Keys()[len(k.Keys())-1] != key {
			t.Errorf("%s is read as %+v, %v, and written %s", key, k, err, k.Key())
		}
	}
	for _, key := range []string{
		"", "vendor", "vendor/nvidia", "vendor/nvidia/model/", "model/h100/vendor/nvidia", "vendor/nvidia/model/h100/ram",
		"vendor/nvidia/model/h100/model/a100", "vendor/nvidia/model/h100/interface/sxm/ram/80Gi", "vendor/nvidia/model/h100/cores/3",
	} {
		if k, err := ParseGPUKind(key); err == nil {
			t.Errorf("%q is read as %+v", key, k)
		}
	}
}

func TestGPUKindFitsWhatSaysLess(t *testing.T) {
	k := GPUKind{"nvidia", "h100", "80Gi", "sxm"}
	for key, want := range map[string][]string{
		"vendor/nvidia/model/*": nil, "vendor/nvidia/model/h100": nil, "vendor/nvidia/model/h*/ram/80Gi": nil,
		"vendor/nvidia/model/*/interface/sxm":             nil,
		"vendor/nvidia/model/h100/ram/80Gi/interface/sxm": nil,
		"vendor/nvidia/model/a100":                        {"model"},
		"vendor/amd/model/h100/ram/64Gi":                  {"vendor", "ram"},
		"vendor/nvidia/model/h100/interface/pcie":         {"interface"},
	} {
		if got := k.Fits(key); got != (want == nil) {
			t.Errorf("%s: fits %v", key, got)
		}
		if got := k.Differs(key); !slices.Equal(got, want) {
			t.Errorf("%s: differs in %q, want %q", key, got, want)
		}
	}
}

// gpuOf makes attributes of keys.
func gpuOf(keys ...string) Attributes {
	var a Attributes
	for _, k := range keys {
		a = append(a, Attribute{k, "true"})
	}
	return a
}

func TestOfferMayNameItsGPUInMoreWords(t *testing.T) {
	const h100, a100 = "vendor/nvidia/model/h100", "vendor/nvidia/model/a100"
	const exact = h100 + "/ram/80Gi/interface/sxm"
	claims := append(gpuOf(GPUKind{"nvidia", "h100", "80Gi", "sxm"}.Keys()...), gpuOf(GPUKind{"nvidia", "a100", "40Gi", "pcie"}.Keys()...)...)
	claims = append(claims, Attribute{"vendor/nvidia/model/t4", "false"}, Attribute{"vendor/nvidia/model/h100/cores/9", "true"}, Attribute{"vendor/nvidia/model/[a-z]", "true"})
	for _, c := range []struct {
		name          string
		wanted, offer Attributes
		want          string // "" means that it is right
	}{
		{"the order's words", gpuOf(h100), gpuOf(h100), ""},
		{"more words", gpuOf(h100), gpuOf(exact), ""},
		{"memory alone", gpuOf(h100), gpuOf(h100 + "/ram/80Gi"), ""},
		{"the interface where memory was asked for", gpuOf(h100 + "/ram/80Gi"), gpuOf(exact), ""},
		{"the order's list", gpuOf(a100, h100), gpuOf(a100, h100), ""},
		{"the order's pattern", gpuOf("vendor/nvidia/model/*"), gpuOf("vendor/nvidia/model/*"), ""},
		{"one of the order's list", gpuOf(a100, h100), gpuOf(h100), ""},
		{"one of the order's list, in more words", gpuOf(a100, h100), gpuOf(a100 + "/ram/40Gi/interface/pcie"), ""},
		{"two of the order's list, in more words", gpuOf(a100, h100), gpuOf(a100+"/ram/40Gi", exact), ""},
		{"a device for a pattern", gpuOf("vendor/nvidia/model/*"), gpuOf(exact), ""},
		{"a device for a pattern of memory", gpuOf("vendor/nvidia/model/*/ram/*"), gpuOf(exact), ""},
		{"a device for an order that says no kind", nil, gpuOf(exact), ""},
		{"nothing for an order that says no kind", nil, nil, ""},

		{"no kind for an order that says one", gpuOf(h100), nil, "GPUs of 0 kinds"},
		{"fewer words", gpuOf(exact), gpuOf(h100), "none of those asked for"},
		{"other words", gpuOf(h100 + "/ram/80Gi"), gpuOf(h100 + "/interface/sxm"), "none of those asked for"},
		{"another memory", gpuOf(h100 + "/ram/94Gi"), gpuOf(exact), "none of those asked for"},
		{"another device", gpuOf(h100), gpuOf(a100), "none of those asked for"},
		{"another device beside one that is right", gpuOf(h100), gpuOf(exact, a100), "none of those asked for"},
		{"another vendor", gpuOf("vendor/amd/model/*"), gpuOf(h100), "none of those asked for"},
		{"a device that begins alike", gpuOf("vendor/nvidia/model/h10"), gpuOf(h100), "none of those asked for"},
		{"a pattern of its own", gpuOf("vendor/nvidia/model/*"), gpuOf("vendor/nvidia/model/h*"), "which is a pattern"},
		{"a pattern out of a list", gpuOf(a100, "vendor/nvidia/model/h*"), gpuOf("vendor/nvidia/model/h*"), "which is a pattern"},
		{"a pattern that the provider claims", gpuOf("vendor/nvidia/model/*"), gpuOf("vendor/nvidia/model/[a-z]"), "which is a pattern"},
		{"more words than it claims", gpuOf(a100), gpuOf(a100 + "/ram/80Gi"), "does not claim attribute capabilities/gpu/vendor/nvidia/model/a100/ram/80Gi=true"},
		{"a device of the list that it has not", gpuOf(a100, "vendor/nvidia/model/t4"), gpuOf("vendor/nvidia/model/t4"), "does not claim"},
		{"a word that no kind has", gpuOf(h100), gpuOf(h100 + "/cores/9"), "is no kind of GPU"},
		{"no kind at all", gpuOf("vendor/nvidia/model/*"), gpuOf("nvidia"), "is no kind of GPU"},
		{"a denial", gpuOf("vendor/nvidia/model/t4"), Attributes{{"vendor/nvidia/model/t4", "false"}}, "none of those asked for"},
		{"a denial for an order that says no kind", nil, Attributes{{"vendor/nvidia/model/t4", "false"}}, "none of those asked for"},
		{"one twice", gpuOf(h100), gpuOf(exact, exact), "a GPU of nvidia/h100/80Gi/sxm twice"},
	} {
		err := considerGPU(GPU{2, c.offer}, GPU{2, c.wanted}, claims)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	if err := considerGPU(GPU{0, gpuOf(h100)}, GPU{}, claims); err == nil {
		t.Error("a kind of no GPU is taken")
	}
	if err := considerGPU(GPU{1, gpuOf(h100)}, GPU{2, gpuOf(h100)}, claims); err == nil {
		t.Error("one GPU is taken for two")
	}
}

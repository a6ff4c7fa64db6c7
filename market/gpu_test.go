package market

import (
	"slices"
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

func TestOfferMayNameItsGPUInMoreWords(t *testing.T) {
	wanted := Resources{ID: 1, GPU: GPU{1, Attributes{{"vendor/nvidia/model/a100", "true"}, {"vendor/nvidia/model/h*", "true"}}}}
	for key, want := range map[string]bool{
		"vendor/nvidia/model/h100/ram/80Gi/interface/sxm": true, "vendor/nvidia/model/a100/ram/40Gi": true,
		"vendor/nvidia/model/t4/ram/16Gi": false, "vendor/nvidia/model/a100/cores/9": false, "vendor/amd/model/a100/ram/80Gi": false,
	} {
		offered := wanted
		offered.GPU.Attributes = Attributes{{key, "true"}}
		if got := fulfils(offered, wanted); got != want {
			t.Errorf("an offer of %s: %v", key, got)
		}
		offered.GPU.Attributes[0].Value = "false"
		if fulfils(offered, wanted) {
			t.Errorf("an offer of %s=false counts", key)
		}
	}
	exact := Resources{ID: 1, GPU: GPU{1, Attributes{{"vendor/nvidia/model/a100/ram/80Gi", "true"}}}}
	offered := exact
	offered.GPU.Attributes = Attributes{{"vendor/nvidia/model/a100", "true"}}
	if fulfils(offered, exact) {
		t.Error("an offer that says less than was asked for counts")
	}
}

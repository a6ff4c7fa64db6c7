package inventory

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/plexus-network/plexus/market"
)

const (
	h100 = "vendor/nvidia/model/h100/ram/80Gi/interface/sxm"
	a100 = "vendor/nvidia/model/a100/ram/40Gi/interface/pcie"
	big  = "vendor/nvidia/model/a100/ram/80Gi/interface/sxm"
)

func machine() *Inventory {
	return New(Amounts{CPU: 1 << 20, Memory: 1 << 40, GPU: 7, GPUs: map[string]int64{h100: 4, a100: 2, big: 1}, Storage: map[string]int64{"": 1 << 40}})
}

func gpus(id uint32, units uint64, count uint32, keys ...string) market.ResourceUnit {
	u := unit(100, 1<<20, count)
	u.Resources.ID, u.Resources.GPU.Units = id, market.Quantity(units)
	for _, k := range keys {
		u.Resources.GPU.Attributes = append(u.Resources.GPU.Attributes, market.Attribute{Key: "vendor/nvidia/model/" + k, Value: "true"})
	}
	return u
}

func TestOfferNamesOneKindForAllReplicas(t *testing.T) {
	for name, c := range map[string]struct {
		units []market.ResourceUnit
		want  []string
	}{
		"exact":                       {[]market.ResourceUnit{gpus(1, 2, 2, "h100")}, []string{h100}},
		"the smallest that will do":   {[]market.ResourceUnit{gpus(1, 1, 1, "*")}, []string{a100}},
		"all replicas of one":         {[]market.ResourceUnit{gpus(1, 1, 3, "*")}, []string{h100}},
		"by ram":                      {[]market.ResourceUnit{gpus(1, 1, 1, "a100/ram/80Gi")}, []string{big}},
		"by interface":                {[]market.ResourceUnit{gpus(1, 1, 1, "a100/interface/sxm")}, []string{big}},
		"any of some":                 {[]market.ResourceUnit{gpus(1, 1, 2, "b200", "h100")}, []string{h100}},
		"a choice yields":             {[]market.ResourceUnit{gpus(1, 2, 1, "*"), gpus(2, 1, 2, "a100/ram/40Gi")}, []string{h100, a100}},
		"one without beside":          {[]market.ResourceUnit{unit(1, 1, 1), gpus(2, 4, 1, "h100")}, []string{"", h100}},
		"a second thought about both": {[]market.ResourceUnit{gpus(1, 1, 2, "a100", "h100"), gpus(2, 2, 1, "a100", "h100"), gpus(3, 2, 1, "*")}, []string{a100, h100, h100}},
	} {
		offers, err := machine().Offer(market.GroupSpec{Units: c.units})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for i, o := range offers {
			got := ""
			if len(o.Resources.GPU.Attributes) > 0 {
				got = o.Resources.GPU.Attributes[0].Key
			}
			if got != c.want[i] || o.Count != c.units[i].Count || o.Resources.GPU.Units != c.units[i].Resources.GPU.Units {
				t.Errorf("%s: unit %d is offered %+v, want %s", name, i, o, c.want[i])
			}
		}
	}
}

func TestOfferSaysWhatFallsShort(t *testing.T) {
	for name, c := range map[string]struct {
		on    *Inventory
		units []market.ResourceUnit
		want  []string
	}{
		"none":       {New(Amounts{}), []market.ResourceUnit{gpus(1, 1, 1, "h100")}, []string{"no graphics processors here", "nvidia/h100"}},
		"model":      {machine(), []market.ResourceUnit{gpus(3, 1, 1, "b200")}, []string{"unit 3 asks for 1 × nvidia/b200", "4 × nvidia/h100/80Gi/sxm", "2 × nvidia/a100/40Gi/pcie", "the model differs"}},
		"ram":        {machine(), []market.ResourceUnit{gpus(1, 1, 1, "h100/ram/94Gi")}, []string{"the ram differs"}},
		"interface":  {machine(), []market.ResourceUnit{gpus(1, 1, 1, "h100/ram/80Gi/interface/pcie")}, []string{"the interface differs"}},
		"too few":    {machine(), []market.ResourceUnit{gpus(1, 5, 1, "h100")}, []string{"too little gpu nvidia/h100/80Gi/sxm: 5 asked for, 4 free"}},
		"not of one": {machine(), []market.ResourceUnit{gpus(1, 1, 3, "a100")}, []string{"3 asked for, 3 free", "nvidia/a100/40Gi/pcie or nvidia/a100/80Gi/sxm"}},
	} {
		_, err := c.on.Offer(market.GroupSpec{Units: c.units})
		for _, want := range c.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %q", name, err, want)
			}
		}
		var short *Shortage
		if !errors.Is(err, ErrGPU) && !errors.As(err, &short) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOfferIsBounded(t *testing.T) {
	var units []market.ResourceUnit
	for n := range uint32(200) {
		units = append(units, gpus(n+1, 1, 1, "*"))
	}
	if _, err := machine().Offer(market.GroupSpec{Units: units}); err == nil {
		t.Error("seven devices serve two hundred units")
	}
}

func TestGPUsAreNeverPromisedTwice(t *testing.T) {
	keys := []string{"*", "h100", "a100", "a100/ram/80Gi", "a100/ram/40Gi"}
	rapid.Check(t, func(t *rapid.T) {
		i := machine()
		taken := map[string]Amounts{}
		for n := range rapid.IntRange(1, 30).Draw(t, "steps") {
			name := fmt.Sprint(n)
			if rapid.Bool().Draw(t, "drop") {
				name = fmt.Sprint(rapid.IntRange(0, n).Draw(t, "which"))
				i.Drop(name)
				delete(taken, name)
				continue
			}
			offers, err := i.Offer(market.GroupSpec{Units: []market.ResourceUnit{
				gpus(1, rapid.Uint64Range(1, 3).Draw(t, "units"), rapid.Uint32Range(1, 2).Draw(t, "count"), rapid.SampledFrom(keys).Draw(t, "key")),
			}})
			if err != nil {
				continue
			}
			claim := OfOffers(offers, 0)
			if err := i.Claim(name, claim); err != nil {
				t.Fatalf("what was offered cannot be claimed: %v", err)
			}
			taken[name] = claim
			if rapid.Bool().Draw(t, "restart") {
				i = machine()
				i.Replace(taken)
			}
		}
		var sum Amounts
		for _, a := range taken {
			sum = sum.Plus(a)
		}
		for kind, has := range i.Capacity().GPUs {
			if sum.GPUs[kind] > has || i.Free().GPUs[kind] != has-sum.GPUs[kind] {
				t.Fatalf("%d of %d %s are promised, %d free", sum.GPUs[kind], has, kind, i.Free().GPUs[kind])
			}
		}
	})
}

func TestAddressesCountOncePerEndpoint(t *testing.T) {
	u := unit(1, 1, 3)
	u.Resources.Endpoints = []market.Endpoint{{Kind: market.LeasedIP, Sequence: 1}, {Kind: market.LeasedIP, Sequence: 1}, {Kind: market.LeasedIP, Sequence: 2}, {Kind: market.RandomPort}}
	claim := Of(market.GroupSpec{Units: []market.ResourceUnit{u, u}}, 0)
	if claim.IPs != 2 {
		t.Errorf("it takes %d addresses, want 2", claim.IPs)
	}
	i := New(Amounts{CPU: 100, Memory: 100, IPs: 3})
	if err := i.Claim("a", claim); err != nil {
		t.Fatal(err)
	}
	var short *Shortage
	if err := i.Claim("b", claim); !errors.As(err, &short) || short.Resource != "ip addresses" || short.Free != 1 {
		t.Errorf("claiming two of one: %v", err)
	}
}

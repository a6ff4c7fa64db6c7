package market

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// price returns amount units of nplx.
func price(amount Amount) Price { return Price{"nplx", Whole(amount)} }

// webUnit returns a unit that breaks no rule.
func webUnit() ResourceUnit {
	return ResourceUnit{
		Resources: Resources{
			ID: 1, CPU: CPU{Units: 1000}, Memory: Memory{Size: 1 << 30},
			Storage: []Volume{
				{Name: "default", Size: 1 << 30},
				{Name: "data", Size: 1 << 30, Attributes: Attributes{{"class", "beta2"}, {"persistent", "true"}}},
			},
			GPU: GPU{Units: 1, Attributes: Attributes{
				{"vendor/nvidia/model/a100/ram/80Gi", "true"}, {"vendor/nvidia/model/h100*", "true"},
			}},
			Endpoints: []Endpoint{{Kind: SharedHTTP}},
		},
		Count: 2,
		Price: price(100),
	}
}

func webGroup() GroupSpec {
	return GroupSpec{
		Name:         "west",
		Requirements: Requirements{Attributes: Attributes{{"region", "us-west"}}},
		Units:        []ResourceUnit{webUnit()},
	}
}

// able are the attributes of a provider that can serve webGroup.
func able() Attributes {
	return Attributes{
		{"capabilities/gpu/vendor/nvidia/model/h100", "true"},
		{"capabilities/storage/1/class", "ram"},
		{"capabilities/storage/1/persistent", "false"},
		{"capabilities/storage/2/class", "beta2"},
		{"capabilities/storage/2/persistent", "true"},
		{"region", "us-west"},
	}
}

func without(attributes Attributes, key string) Attributes {
	return slices.DeleteFunc(slices.Clone(attributes), func(a Attribute) bool { return a.Key == key })
}

func TestValidateGroups(t *testing.T) {
	if err := ValidateGroups([]GroupSpec{webGroup()}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		edit func(*GroupSpec)
		want string
	}{
		{"no name", func(g *GroupSpec) { g.Name = "" }, "no name"},
		{"no units", func(g *GroupSpec) { g.Units = nil }, "no resources"},
		{"count", func(g *GroupSpec) { g.Units[0].Count = 0 }, "count is 0"},
		{"free", func(g *GroupSpec) { g.Units[0].Price.Amount = Exact{} }, "price is 0"},
		{"dear", func(g *GroupSpec) { g.Units[0].Price = price(maxUnitPrice + 1) }, "above 10000000"},
		{"denom", func(g *GroupSpec) { g.Units[0].Price.Denom = "9x" }, `denom "9x"`},
		{"id", func(g *GroupSpec) { g.Units[0].Resources.ID = 0 }, "id 0"},
		{"little cpu", func(g *GroupSpec) { g.Units[0].Resources.CPU.Units = 9 }, "cpu of 9"},
		{"much cpu", func(g *GroupSpec) { g.Units[0].Resources.CPU.Units = 384_001 }, "outside of 10 to 384000"},
		{"memory", func(g *GroupSpec) { g.Units[0].Resources.Memory.Size = 1<<20 - 1 }, "memory of 1048575"},
		{"gpu", func(g *GroupSpec) { g.Units[0].Resources.GPU.Units = 25 }, "gpu of 25"},
		{"gpu words", func(g *GroupSpec) { g.Units[0].Resources.GPU.Units = 0 }, "attributes but 0 units"},
		{"no storage", func(g *GroupSpec) { g.Units[0].Resources.Storage = nil }, "storage is missing"},
		{"small storage", func(g *GroupSpec) { g.Units[0].Resources.Storage[1].Size = 5<<20 - 1 }, `storage "data"`},
		{"storage key", func(g *GroupSpec) { g.Units[0].Resources.Storage[1].Attributes[0].Key = "" }, `storage "data": attribute key ""`},
		{"placement key", func(g *GroupSpec) { g.Requirements.Attributes[0].Key = "1st" }, `attribute key "1st"`},
		{"placement twice", func(g *GroupSpec) {
			g.Requirements.Attributes = append(g.Requirements.Attributes, g.Requirements.Attributes[0])
		}, "stands twice"},
		{"total", func(g *GroupSpec) { g.Units[0].Count = 19201 }, "cpu of all replicas"},
		{"overflowing total", func(g *GroupSpec) {
			g.Units[0].Resources.Storage[0].Size, g.Units[0].Count = 32<<40, ^uint32(0)
		}, "of all replicas"},
		{"ids", func(g *GroupSpec) { g.Units = append(g.Units, webUnit()) }, "two units have the id 1"},
		{"denoms", func(g *GroupSpec) {
			u := webUnit()
			u.Resources.ID, u.Price.Denom = 2, "uact"
			g.Units = append(g.Units, u)
		}, "in nplx and in uact"},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := webGroup()
			c.edit(&g)
			if err := ValidateGroups([]GroupSpec{g}); !errors.Is(err, ErrGroups) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("ValidateGroups = %v, want %q", err, c.want)
			}
		})
	}
	other := webGroup()
	other.Units[0].Price.Denom = "uact"
	for want, groups := range map[string][]GroupSpec{
		"at least one":     nil,
		`are named "west"`: {webGroup(), webGroup()},
	} {
		if err := ValidateGroups(groups); !errors.Is(err, ErrGroups) || !strings.Contains(err.Error(), want) {
			t.Errorf("ValidateGroups = %v, want %q", err, want)
		}
	}
	other.Name = "east"
	if err := ValidateGroups([]GroupSpec{webGroup(), other}); !errors.Is(err, ErrGroups) {
		t.Errorf("two denoms in two groups: %v", err)
	}
}

func TestTotals(t *testing.T) {
	g := webGroup()
	want := Totals{CPU: 2000, Memory: 2 << 30, Storage: 4 << 30, GPU: 2, Replicas: 2}
	if got := g.Totals(); got != want {
		t.Errorf("Totals = %+v, want %+v", got, want)
	}
	if got := want.Add(Totals{CPU: ^Quantity(0), Replicas: 1}); got.CPU != ^Quantity(0) || got.Replicas != 3 {
		t.Errorf("sums beyond 64 bits = %+v", got)
	}
	if got := g.Price().String(); got != "200.000000000000000000nplx" {
		t.Errorf("Price = %s", got)
	}
}

func TestAttributeKeys(t *testing.T) {
	for key, want := range map[string]bool{
		"ab": true, "a": false, "a*": false, "ab*": true, "*": false, "a*b": false, "a_": true, "1a": false, "_a": false,
		"a/b.c-d": true, "a b": false, "ä1": false, "a-": true,
		strings.Repeat("a", 128): true, strings.Repeat("a", 127) + "*": true, strings.Repeat("a", 128) + "*": false,
		strings.Repeat("a", 127) + "/": false, strings.Repeat("a", 129): false,
	} {
		if got := (Attributes{{key, ""}}).Validate() == nil; got != want {
			t.Errorf("key %q is valid = %v, want %v", key, got, want)
		}
	}
}

func TestMatch(t *testing.T) {
	signed := func(who string, attributes Attributes) Audit { return Audit{who, attributes} }
	region := Attributes{{"region", "us-west"}}
	for _, c := range []struct {
		name       string
		attributes Attributes
		audits     []Audit
		all, any   []string
		want       string // of the mismatch; "" means that it matches
	}{
		{"able", able(), nil, nil, nil, ""},
		{"elsewhere", append(without(able(), "region"), Attribute{"region", "eu"}), nil, nil, nil, "attribute region=us-west"},
		{
			"other gpu", without(able(), "capabilities/gpu/vendor/nvidia/model/h100"), nil, nil, nil,
			"capabilities/gpu/vendor/nvidia/model/a100/ram/80Gi=true for resource unit 1",
		},
		{"first gpu of two", append(without(able(), "capabilities/gpu/vendor/nvidia/model/h100"),
			Attribute{"capabilities/gpu/vendor/nvidia/model/a100/ram/80Gi", "true"}), nil, nil, nil, ""},
		{"gpu denied", append(without(able(), "capabilities/gpu/vendor/nvidia/model/h100"),
			Attribute{"capabilities/gpu/vendor/nvidia/model/h100", "false"}), nil, nil, nil, "a100"},
		{"no class has both", append(without(able(), "capabilities/storage/2/persistent"),
			Attribute{"capabilities/storage/3/persistent", "true"}), nil, nil, nil, "capabilities/storage/*/"},
		{"nobody signed", able(), nil, []string{"ann"}, nil, "no signature of ann"},
		{"all signed", able(), []Audit{signed("ann", region), signed("bob", able())}, []string{"ann", "bob"}, nil, ""},
		{"one of all is missing", able(), []Audit{signed("ann", region)}, []string{"ann", "bob"}, nil, "no signature of bob"},
		{
			"one of all signed less", able(),
			[]Audit{signed("ann", region), signed("bob", nil)},
			[]string{"ann", "bob"},
			nil,
			"region=us-west signed by bob",
		},
		{"any signed", able(), []Audit{signed("bob", region)}, nil, []string{"ann", "bob"}, ""},
		{"none of any", able(), []Audit{signed("eve", region)}, nil, []string{"ann", "bob"}, "no signature of ann"},
		{"any signed less", able(), []Audit{signed("bob", nil)}, nil, []string{"ann", "bob"}, "region=us-west signed by bob"},
		{"all but none of any", able(), []Audit{signed("ann", region)}, []string{"ann"}, []string{"bob"}, "no signature of bob"},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := webGroup()
			g.Requirements.SignedBy = SignedBy{AllOf: c.all, AnyOf: c.any}
			err := g.Match(c.attributes, c.audits)
			if c.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			var mismatch *Mismatch
			if !errors.As(err, &mismatch) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Match = %v, want %q", err, c.want)
			}
		})
	}
}

func TestResourcesJSON(t *testing.T) {
	text, err := json.Marshal(webUnit().Resources)
	if err != nil {
		t.Fatal(err)
	}
	var back Resources
	if err := json.Unmarshal(text, &back); err != nil || !back.Equal(webUnit().Resources) || back.Endpoints[0] != (Endpoint{}) {
		t.Errorf("%s was read back as %+v: %v", text, back, err)
	}
	for _, wrong := range []string{`{"val":"-1"}`, `{"val":1}`, `{}`, `7`, `{"val":"18446744073709551616"}`} {
		var q Quantity
		if err := json.Unmarshal([]byte(wrong), &q); err == nil {
			t.Errorf("%s is the quantity %d", wrong, q)
		}
	}
}

func TestBidID(t *testing.T) {
	id := BidID{OrderID{GroupID{DeploymentID{"plx1tenant", 7}, 1}, 2}, "plx1provider"}
	if got := id.String(); got != "plx1tenant/7/1/2/plx1provider" {
		t.Errorf("String = %s", got)
	}
	if back, err := ParseBidID(id.String()); err != nil || back != id {
		t.Errorf("read back as %+v: %v", back, err)
	}
	for _, text := range []string{"", "a/1/1/1", "a/0/1/1/p", "a/1/0/1/p", "a/1/1/0/p", "/1/1/1/p", "a/1/1/1/", "a/x/1/1/p", "a/1/4294967296/1/p", "a/1/1/1/p/q"} {
		if got, err := ParseBidID(text); !errors.Is(err, ErrID) {
			t.Errorf("ParseBidID(%q) = %v, %v", text, got, err)
		}
	}
}

// TestStates writes out every pair of states of every object. What is not
// listed is refused, and leaves the state as it was.
func TestStates(t *testing.T) {
	legal := map[string]bool{
		"deployment active > closed": true,

		"group open > paused": true, "group open > insufficient_funds": true, "group open > closed": true,
		"group paused > open": true, "group paused > insufficient_funds": true, "group paused > closed": true,
		"group insufficient_funds > closed": true,

		"order open > active": true, "order open > closed": true, "order active > closed": true,

		"bid open > active": true, "bid open > lost": true, "bid open > closed": true, "bid active > closed": true,

		"lease active > reclaiming": true, "lease active > insufficient_funds": true, "lease active > closed": true,
		"lease reclaiming > insufficient_funds": true, "lease reclaiming > closed": true,
	}
	seen := 0
	seen += pairs(t, "deployment", legal, DeploymentClosed+1, DeploymentState.To)
	seen += pairs(t, "group", legal, GroupClosed+1, GroupState.To)
	seen += pairs(t, "order", legal, OrderClosed+1, OrderState.To)
	seen += pairs(t, "bid", legal, BidClosed+1, BidState.To)
	seen += pairs(t, "lease", legal, LeaseClosed+1, LeaseState.To)
	if seen != len(legal) {
		t.Errorf("%d legal moves found, want %d", seen, len(legal))
	}
}

// pairs tries every move between states up to last, the invalid ones included,
// and counts the legal ones.
func pairs[S interface {
	~uint8
	fmt.Stringer
}](t *testing.T, object string, legal map[string]bool, last S, to func(S, S) (S, error),
) int {
	t.Helper()
	count := 0
	for a := S(0); a <= last; a++ {
		for b := S(0); b <= last; b++ {
			name := object + " " + a.String() + " > " + b.String()
			got, err := to(a, b)
			if legal[name] {
				count++
				if err != nil || got != b {
					t.Errorf("%s: %v, %v", name, got, err)
				}
			} else if !errors.Is(err, ErrMove) || got != a {
				t.Errorf("%s is allowed: %v, %v", name, got, err)
			}
		}
	}
	return count
}

package sdl

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/plexus-network/plexus/market"
)

func (r *reader) profiles(n node, f *file) {
	r.object(n, fields{
		"compute":   func(n node) { f.computes = named(r, n, r.compute) },
		"placement": func(n node) { f.placements = named(r, n, r.placement) },
	})
}

func (r *reader) compute(n node) compute {
	c := compute{at: n}
	r.object(n, fields{"resources": func(n node) {
		r.object(n, fields{
			"cpu":     func(n node) { c.resources.CPU = r.cpu(n) },
			"memory":  func(n node) { c.resources.Memory = r.memory(n) },
			"storage": func(n node) { c.resources.Storage = r.storage(n) },
			"gpu":     func(n node) { c.resources.GPU = r.gpu(n) },
		})
	}})
	return c
}

func (r *reader) cpu(n node) market.CPU {
	var c market.CPU
	r.strict(n, fields{
		"units": func(n node) { c.Units = r.cores(n) },
		"attributes": func(n node) {
			r.strict(n, fields{"arch": func(n node) {
				c.Attributes = append(c.Attributes, market.Attribute{Key: "arch", Value: r.text(n)})
			}})
		},
	})
	return c
}

func (r *reader) memory(n node) market.Memory {
	var m market.Memory
	r.object(n, fields{"size": func(n node) { m.Size = r.size(n) }})
	return m
}

// storage reads one volume, which is then named default, or a list of them.
func (r *reader) storage(n node) []market.Volume {
	if n.Kind == yaml.MappingNode {
		v := r.volume(n)
		v.Name = defaultVolume
		return []market.Volume{v}
	}
	var all []market.Volume
	seen := map[string]bool{}
	for _, item := range r.items(n, "- size: 1Gi") {
		v := r.volume(item)
		v.Name = cmp.Or(v.Name, defaultVolume)
		if seen[v.Name] {
			r.refuse(item, "two volumes are named %q; give each a name of its own", clip(v.Name))
		}
		seen[v.Name] = true
		all = append(all, v)
	}
	slices.SortStableFunc(all, compareVolumes)
	return all
}

// defaultVolume is the name of a volume that has none.
const defaultVolume = "default"

// compareVolumes is the order of volumes: by size, those without attributes
// first, then by "persistent", then by name. Of two volumes that do not persist
// it calls either the lesser, as Akash does, so that a stable sort turns their
// order round; the manifest's hash depends on it.
func compareVolumes(a, b market.Volume) int {
	if c := cmp.Compare(a.Size, b.Size); c != 0 {
		return c
	}
	x, hasX := a.Attributes.Get("persistent")
	y, hasY := b.Attributes.Get("persistent")
	switch {
	case !hasX && hasY || hasX && hasY && x < y:
		return -1
	case hasX && !hasY:
		return 1
	case x != "true":
		return -1
	case y != "true":
		return 1
	}
	return cmp.Compare(a.Name, b.Name)
}

func (r *reader) volume(n node) market.Volume {
	var v market.Volume
	r.object(n, fields{
		"name":       func(n node) { v.Name = r.text(n) },
		"size":       func(n node) { v.Size = r.size(n) },
		"attributes": func(n node) { v.Attributes = r.volumeAttributes(n) },
	})
	return v
}

// volumeAttributes reads persistent and class. As in Akash the rules look at
// the words as they are written, and only then is "yes" or "on" turned into
// "true": what comes out is hashed.
func (r *reader) volumeAttributes(n node) market.Attributes {
	if n.null() {
		return nil
	}
	persistent, class := "", ""
	r.strict(n, fields{
		"persistent": func(n node) { persistent = r.text(n) },
		"class":      func(n node) { class = r.class(n) },
	})
	persistent = cmp.Or(persistent, "false")
	switch {
	case class == "" && persistent == "true":
		class = "default"
	case class == "ram" && persistent != "false":
		r.refuse(n, "the class ram is a memory file system and cannot be persistent; write persistent: false")
	case class != "" && class != "ram" && persistent == "false":
		r.refuse(n, "the class %q is for persistent volumes; write persistent: true, or leave out the class", clip(class))
	}
	switch persistent {
	case "true", "on", "yes":
		persistent = "true"
	case "false", "off", "no":
		persistent = "false"
	default:
		r.refuse(n, "persistent is %q; write true or false", clip(persistent))
	}
	if class == "" {
		return market.Attributes{{Key: "persistent", Value: persistent}}
	}
	return market.Attributes{{Key: "class", Value: class}, {Key: "persistent", Value: persistent}}
}

// class reads what a volume lies on.
func (r *reader) class(n node) string {
	class := r.text(n)
	known := map[string]bool{"default": true, "beta1": true, "beta2": true, "beta3": true, "ram": true}
	if !known[class] {
		r.refuse(n, "storage class %q is unknown; there are %s%s", clip(class), strings.Join(sorted(known), ", "), didYouMean(class, known))
	}
	return class
}

func (r *reader) gpu(n node) market.GPU {
	if n.null() {
		return market.GPU{}
	}
	var g market.GPU
	r.strict(n, fields{
		"units":      func(n node) { g.Units = r.count(n) },
		"attributes": func(n node) { g.Attributes = r.gpuAttributes(n) },
	})
	if g.Units > 0 && len(g.Attributes) == 0 {
		r.refuse(n, "attributes are missing: say which GPUs will do, as in attributes: {vendor: {nvidia: [{model: a100}]}}")
	}
	if err := g.Attributes.Validate(); err != nil {
		r.refuse(n, "%v", err)
	}
	return g
}

// gpuAttributes reads which kinds of GPU will do; each becomes one key.
func (r *reader) gpuAttributes(n node) market.Attributes {
	if n.null() {
		return nil
	}
	var kinds market.Attributes
	vendor := false
	r.strict(n, fields{"vendor": func(n node) {
		vendor = !n.null()
		r.object(n, fields{"nvidia": func(n node) {
			for _, item := range r.items(n, "- model: a100") {
				kinds = append(kinds, market.Attribute{Key: gpuVendor + r.gpuModel(item), Value: "true"})
			}
		}})
	}})
	if !vendor {
		r.refuse(n, "vendor is missing; write vendor: {nvidia: } for any model of nvidia")
		return nil
	}
	if len(kinds) == 0 {
		return market.Attributes{{Key: gpuVendor + "*", Value: "true"}}
	}
	kinds.Sort()
	return kinds
}

const gpuVendor = "vendor/nvidia/model/"

func (r *reader) gpuModel(n node) string {
	model, ram, bus := "", "", ""
	r.object(n, fields{
		"model": func(n node) { model = r.text(n) },
		"ram":   func(n node) { ram = fmt.Sprintf("/ram/%dGi", uint64(r.ram(n))>>30) },
		"interface": func(n node) {
			bus = "/interface/" + n.Value
			if n.Value != "pcie" && n.Value != "sxm" {
				r.refuse(n, "GPU interface %q: write pcie or sxm", clip(n.Value))
			}
		},
	})
	if model == "" {
		r.refuse(n, "model is missing, as in model: a100")
	}
	return model + ram + bus
}

func (r *reader) placement(n node) placement {
	p := placement{at: n}
	r.object(n, fields{
		"attributes": func(n node) { p.attributes = r.placementAttributes(n) },
		"signedBy": func(n node) {
			r.object(n, fields{
				"allOf": func(n node) { p.signedBy.AllOf = r.texts(n, "- ADDRESS") },
				"anyOf": func(n node) { p.signedBy.AnyOf = r.texts(n, "- ADDRESS") },
			})
		},
		"pricing": func(n node) { p.pricing = named(r, n, r.price) },
	})
	return p
}

func (r *reader) placementAttributes(n node) market.Attributes {
	var attributes market.Attributes
	for _, p := range r.pairs(n) {
		attributes = append(attributes, market.Attribute{Key: p.key.Value, Value: r.text(n.child(p.key.Value, p.value))})
	}
	attributes.Sort()
	if err := attributes.Validate(); err != nil {
		r.refuse(n, "%v", err)
	}
	return attributes
}

func (r *reader) price(n node) price {
	p := price{at: n}
	amount := ""
	r.object(n, fields{
		"denom":  func(n node) { p.Denom = r.text(n) },
		"amount": func(n node) { amount, p.at = r.text(n), n },
	})
	if amount == "" {
		r.refuse(n, "amount is missing; write the most you would pay per block, as in amount: 100")
		return p
	}
	exact, err := market.ParseExact(strings.TrimPrefix(amount, "+"))
	if err != nil {
		r.refuse(p.at, "amount %q: write a number above 0 with at most 18 decimals, as in 100 or 0.25", clip(amount))
	} else if exact.IsZero() {
		r.refuse(p.at, "amount is 0; it must be above 0")
	}
	p.Amount = exact
	if p.Denom == "" {
		r.refuse(n, "denom is missing, as in denom: nplx")
	}
	return p
}

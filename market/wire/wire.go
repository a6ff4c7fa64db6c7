// Package wire is how the market's objects travel: it turns those of package
// market into the messages of api/plexus/market/v1, which the chain stores and
// its clients send, and back.
//
// What is read is as untrusted as it came: only its form is checked, that a
// number fits and an amount is one. Validate it by the law. Start at
// [ReadGroupSpec] and [WriteGroupSpec].
package wire

import (
	"fmt"
	"math"

	marketv1 "github.com/plexus-network/plexus/api/plexus/market/v1"
	"github.com/plexus-network/plexus/market"
)

// ReadAttributes returns attributes in their order.
func ReadAttributes(list []marketv1.Attribute) market.Attributes {
	var attributes market.Attributes
	for _, a := range list {
		attributes = append(attributes, market.Attribute{Key: a.Key, Value: a.Value})
	}
	return attributes
}

// WriteAttributes is the reverse of [ReadAttributes].
func WriteAttributes(attributes market.Attributes) []marketv1.Attribute {
	var list []marketv1.Attribute
	for _, a := range attributes {
		list = append(list, marketv1.Attribute{Key: a.Key, Value: a.Value})
	}
	return list
}

// ReadPrice returns a price, or [market.ErrExact].
func ReadPrice(p marketv1.Price) (market.Price, error) {
	amount, err := market.ParseExact(p.Amount)
	return market.Price{Denom: p.Denom, Amount: amount}, err
}

// WritePrice is the reverse of [ReadPrice].
func WritePrice(p market.Price) marketv1.Price {
	return marketv1.Price{Denom: p.Denom, Amount: p.Amount.String()}
}

// ReadGroupSpec returns what a group asks for, or an error that names the unit
// whose price or endpoint is malformed.
func ReadGroupSpec(g marketv1.GroupSpec) (market.GroupSpec, error) {
	spec := market.GroupSpec{Name: g.Name, Requirements: market.Requirements{
		SignedBy:   market.SignedBy{AllOf: g.SignedBy.AllOf, AnyOf: g.SignedBy.AnyOf},
		Attributes: ReadAttributes(g.Attributes),
	}}
	for i, u := range g.Units {
		unit := market.ResourceUnit{Count: u.Count}
		var err error
		if unit.Price, err = ReadPrice(u.Price); err != nil {
			return spec, fmt.Errorf("group %q: unit %d: price: %w", g.Name, i+1, err)
		}
		if unit.Resources, err = ReadResources(u.Resources); err != nil {
			return spec, fmt.Errorf("group %q: unit %d: %w", g.Name, i+1, err)
		}
		spec.Units = append(spec.Units, unit)
	}
	return spec, nil
}

// WriteGroupSpec is the reverse of [ReadGroupSpec].
func WriteGroupSpec(spec market.GroupSpec) marketv1.GroupSpec {
	g := marketv1.GroupSpec{
		Name:       spec.Name,
		SignedBy:   marketv1.SignedBy{AllOf: spec.Requirements.SignedBy.AllOf, AnyOf: spec.Requirements.SignedBy.AnyOf},
		Attributes: WriteAttributes(spec.Requirements.Attributes),
	}
	for _, u := range spec.Units {
		g.Units = append(g.Units, marketv1.ResourceUnit{
			Resources: WriteResources(u.Resources), Count: u.Count, Price: WritePrice(u.Price),
		})
	}
	return g
}

// ReadResources returns what a replica gets, or an error about an endpoint of
// no known kind.
func ReadResources(r marketv1.Resources) (market.Resources, error) {
	resources := market.Resources{
		ID:     r.Id,
		CPU:    market.CPU{Units: market.Quantity(r.Cpu), Attributes: ReadAttributes(r.CpuAttributes)},
		Memory: market.Memory{Size: market.Quantity(r.Memory)},
		GPU:    market.GPU{Units: market.Quantity(r.Gpu), Attributes: ReadAttributes(r.GpuAttributes)},
	}
	for _, v := range r.Storage {
		resources.Storage = append(resources.Storage, market.Volume{
			Name: v.Name, Size: market.Quantity(v.Size_), Attributes: ReadAttributes(v.Attributes),
		})
	}
	for _, e := range r.Endpoints {
		if _, known := marketv1.EndpointKind_name[int32(e.Kind)]; !known {
			return resources, fmt.Errorf("endpoint of kind %d; kinds are 0 to %d", e.Kind, len(marketv1.EndpointKind_name)-1)
		}
		resources.Endpoints = append(resources.Endpoints, market.Endpoint{Kind: market.EndpointKind(e.Kind), Sequence: e.Sequence})
	}
	return resources, nil
}

// WriteResources is the reverse of [ReadResources].
func WriteResources(resources market.Resources) marketv1.Resources {
	r := marketv1.Resources{
		Id:            resources.ID,
		Cpu:           uint64(resources.CPU.Units),
		CpuAttributes: WriteAttributes(resources.CPU.Attributes),
		Memory:        uint64(resources.Memory.Size),
		Gpu:           uint64(resources.GPU.Units),
		GpuAttributes: WriteAttributes(resources.GPU.Attributes),
	}
	for _, v := range resources.Storage {
		r.Storage = append(r.Storage, marketv1.Volume{Name: v.Name, Size_: uint64(v.Size), Attributes: WriteAttributes(v.Attributes)})
	}
	for _, e := range resources.Endpoints {
		r.Endpoints = append(r.Endpoints, marketv1.Endpoint{Kind: marketv1.EndpointKind(e.Kind), Sequence: e.Sequence})
	}
	return r
}

// ReadOffers returns what a bid offers.
func ReadOffers(list []marketv1.Offer) ([]market.Offer, error) {
	var offers []market.Offer
	for i, o := range list {
		resources, err := ReadResources(o.Resources)
		if err != nil {
			return nil, fmt.Errorf("offer %d: %w", i+1, err)
		}
		offers = append(offers, market.Offer{Resources: resources, Count: o.Count})
	}
	return offers, nil
}

// WriteOffers is the reverse of [ReadOffers].
func WriteOffers(offers []market.Offer) []marketv1.Offer {
	var list []marketv1.Offer
	for _, o := range offers {
		list = append(list, marketv1.Offer{Resources: WriteResources(o.Resources), Count: o.Count})
	}
	return list
}

// Seconds returns what a message counts in seconds; more than fits stays at
// the most.
func Seconds(s uint64) market.Seconds { return market.Seconds(min(s, math.MaxInt64)) }

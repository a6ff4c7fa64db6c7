// Package price says what a provider asks for an order per block: by a scale
// of rates per resource, or by a program of the provider's own.
package price

import (
	"context"
	"errors"
	"fmt"

	"github.com/plexus-network/plexus/market"
	"github.com/plexus-network/plexus/provider/inventory"
)

// A Pricer prices groups. It may be called from many goroutines.
type Pricer interface {
	// Price returns what all replicas of a group cost per block, in the denom
	// of its own prices.
	Price(ctx context.Context, owner string, g market.GroupSpec) (market.Exact, error)
}

// ErrPrice means that no price could be made.
var ErrPrice = errors.New("price: no price")

// A Scale prices a group by rates per block, in base units. What is not a
// whole MiB counts as one. The zero Scale gives everything away, which the
// chain does not allow: see [DefaultScale].
type Scale struct {
	CPU      market.Exact            `json:"cpu"`               // of a thousandth of a core
	Memory   market.Exact            `json:"memory"`            // of a MiB, memory disks included
	Storage  market.Exact            `json:"storage"`           // of a MiB, of any class that Classes does not name
	Classes  map[string]market.Exact `json:"classes,omitempty"` // of a MiB by class
	GPU      market.Exact            `json:"gpu"`               // of one, of any model that Models does not name
	Models   map[string]market.Exact `json:"models,omitempty"`  // of one by model, as h100
	Endpoint market.Exact            `json:"endpoint"`          // of each way in from outside
	IP       market.Exact            `json:"ip"`                // of each leased address, beside its ways in
}

// DefaultScale asks 1,000 nplx per block for a core, as much for 2 GiB of
// memory, and as much for 20 GiB of disk: with blocks of six seconds and a PLX
// per core and some ten weeks, a price to be changed by who knows a market.
func DefaultScale() Scale {
	parse := func(s string) market.Exact {
		e, err := market.ParseExact(s)
		if err != nil {
			panic(err) // the constants below are numbers
		}
		return e
	}
	return Scale{CPU: parse("1"), Memory: parse("0.5"), Storage: parse("0.05"), GPU: parse("20000"), Endpoint: parse("10"), IP: parse("1000")}
}

// Price implements [Pricer].
func (s Scale) Price(_ context.Context, _ string, g market.GroupSpec) (market.Exact, error) {
	var sum market.Exact
	fits := true
	add := func(rate market.Exact, amount uint64, count uint32) {
		one, ok1 := rate.Times(amount)
		all, ok2 := one.Times(uint64(count))
		var ok3 bool
		sum, ok3 = sum.Add(all)
		fits = fits && ok1 && ok2 && ok3
	}
	addresses := map[uint32]bool{}
	for _, u := range g.Units {
		r := u.Resources
		add(s.CPU, uint64(r.CPU.Units), u.Count)
		add(s.Memory, mebibytes(r.Memory.Size), u.Count)
		add(s.processor(r.GPU), uint64(r.GPU.Units), u.Count)
		ways := uint64(0)
		for _, e := range r.Endpoints {
			switch {
			case e.Kind != market.LeasedIP:
				ways++
			case !addresses[e.Sequence]:
				addresses[e.Sequence] = true
				add(s.IP, 1, 1)
			}
		}
		add(s.Endpoint, ways, 1)
		for _, v := range r.Storage {
			add(s.volume(v), mebibytes(v.Size), u.Count)
		}
	}
	switch {
	case !fits:
		return market.Exact{}, fmt.Errorf("%w: a sum beyond all money", ErrPrice)
	case sum.IsZero():
		return market.Exact{}, fmt.Errorf("%w: the rates make it 0, which the chain refuses", ErrPrice)
	}
	return sum, nil
}

func (s Scale) volume(v market.Volume) market.Exact {
	class, _, ram := inventory.Volume(v)
	if ram {
		return s.Memory
	}
	if rate, ok := s.Classes[class]; ok {
		return rate
	}
	return s.Storage
}

// processor is the rate of a unit's GPUs: the highest of those that it names,
// of which a bid names one.
func (s Scale) processor(g market.GPU) market.Exact {
	rate := s.GPU
	for i, a := range g.Attributes {
		k, err := market.ParseGPUKind(a.Key)
		one, ok := s.Models[k.Model]
		if err != nil || !ok {
			one = s.GPU
		}
		if i == 0 || one.Compare(rate) > 0 {
			rate = one
		}
	}
	return rate
}

func mebibytes(q market.Quantity) uint64 {
	whole := uint64(q) >> 20
	if uint64(q)&(1<<20-1) != 0 {
		whole++
	}
	return whole
}

package tenant

import (
	"cmp"
	"context"
	"slices"

	subnetv1 "github.com/plexus-network/plexus/api/plexus/subnet/v1"
	"github.com/plexus-network/plexus/ledger"
	"github.com/plexus-network/plexus/market"
	"github.com/plexus-network/plexus/yuma"
)

// A Measure is what a compute subnet's consensus says of a provider: its
// validators rent from providers and measure start, cores, memory, disks,
// network and uptime, and the chain keeps what their weights came to, no
// figure by itself.
type Measure struct {
	Netuid uint16  `json:"netuid"`
	Subnet string  `json:"subnet"` // its name
	Score  float64 `json:"score"`  // 0 to 1, beside the best provider of the subnet
	Place  int     `json:"place"`  // among those with a score, from 1; 0 without a score
	Of     int     `json:"of"`     // how many have a score
	Height uint64  `json:"height"` // of the epoch in which it was settled; 0 before the first

	account string
}

// computeKind is the kind of subnets that measure providers, and maxJudges how
// many of them are asked: those with the largest shares of emission, since
// anyone can open one.
const (
	computeKind = "compute"
	maxJudges   = 4
)

// Measured returns what compute subnets say of providers, by their accounts.
// A provider that is on none is not in it.
func (t *Tenant) Measured(ctx context.Context) (map[string][]Measure, error) {
	subnets, err := t.chain.Subnets(ctx)
	if err != nil {
		return nil, err
	}
	subnets = slices.DeleteFunc(subnets, func(s subnetv1.Subnet) bool { return s.Kind != computeKind })
	slices.SortFunc(subnets, func(a, b subnetv1.Subnet) int {
		return cmp.Or(cmp.Compare(b.Share, a.Share), cmp.Compare(a.Netuid, b.Netuid))
	})
	all := map[string][]Measure{}
	for _, s := range subnets[:min(len(subnets), maxJudges)] {
		measures, err := t.measures(ctx, yuma.Netuid(s.Netuid))
		if err != nil {
			return nil, err
		}
		for _, m := range measures {
			all[m.account] = append(all[m.account], m)
		}
	}
	return all, nil
}

// A Candidate is what a provider says of a group, and what is said of it.
type Candidate struct {
	Screening
	Measured []Measure `json:"measured,omitempty"` // none: no compute subnet has it
}

// Candidates is [Tenant.Screen] with what was measured of each provider.
func (t *Tenant) Candidates(ctx context.Context, g market.GroupSpec) ([]Candidate, error) {
	measured, err := t.Measured(ctx)
	if err != nil {
		return nil, err
	}
	screened, err := t.Screen(ctx, g)
	all := make([]Candidate, len(screened))
	for i, s := range screened {
		all[i] = Candidate{s, measured[s.Provider]}
	}
	return all, err
}

// measures are those of one subnet.
func (t *Tenant) measures(ctx context.Context, netuid yuma.Netuid) ([]Measure, error) {
	graph, err := t.chain.Metagraph(ctx, netuid)
	if err != nil {
		return nil, err
	}
	return rank(graph), nil
}

// rank puts the neurons of a subnet in the order of what they are worth to it.
func rank(graph *ledger.Metagraph) []Measure {
	neurons := slices.Clone(graph.Neurons)
	slices.SortStableFunc(neurons, func(a, b ledger.Neuron) int { return cmp.Compare(b.Incentive, a.Incentive) })
	var all []Measure
	scored := 0
	for _, n := range neurons {
		m := Measure{Netuid: uint16(graph.Netuid), Subnet: graph.Name, Height: uint64(graph.LastEpoch), account: n.Account}
		if n.Incentive > 0 {
			scored++
			m.Score, m.Place = float64(n.Incentive)/float64(neurons[0].Incentive), scored
		}
		all = append(all, m)
	}
	for i := range all {
		all[i].Of = scored
	}
	return all
}

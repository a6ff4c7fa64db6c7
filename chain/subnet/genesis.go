package subnet

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"cosmossdk.io/collections"

	subnetv1 "github.com/plexus-network/plexus/api/plexus/subnet/v1"
	"github.com/plexus-network/plexus/coin"
	"github.com/plexus-network/plexus/yuma"
)

// DefaultGenesis has the root, owned by governance, and no other subnet.
func DefaultGenesis(governance string) *subnetv1.GenesisState {
	root := DefaultHyperparameters()
	root.MaxUids, root.Tempo, root.RegistrationOpen = 64, 100, false
	return &subnetv1.GenesisState{
		Params: DefaultParams(),
		Subnets: []subnetv1.SubnetGenesis{{Subnet: subnetv1.Subnet{
			Netuid: Root, Owner: governance, Kind: RootKind, Name: RootKind, Hyperparameters: root,
		}}},
	}
}

// ValidateGenesis tells what is wrong with a genesis state, if anything.
func ValidateGenesis(g *subnetv1.GenesisState) error {
	if err := validateParams(g.Params); err != nil {
		return err
	}
	if len(g.Subnets) == 0 || g.Subnets[0].Subnet.Netuid != Root || g.Subnets[0].Subnet.Kind != RootKind {
		return errors.New("the first subnet must be the root: netuid 0 of kind root")
	}
	for i, s := range g.Subnets {
		if i > 0 && s.Subnet.Netuid <= g.Subnets[i-1].Subnet.Netuid {
			return fmt.Errorf("netuid %d follows %d; netuids must rise", s.Subnet.Netuid, g.Subnets[i-1].Subnet.Netuid)
		}
		if err := validateSubnet(&s, g.Params); err != nil {
			return fmt.Errorf("subnet %d: %w", s.Subnet.Netuid, err)
		}
	}
	return nil
}

// validateSubnet tells what is wrong with one subnet, if anything.
func validateSubnet(g *subnetv1.SubnetGenesis, p subnetv1.Params) error {
	if g.Subnet.Netuid > 1<<16-1 {
		return errors.New("netuids are at most 65535")
	}
	if err := validateText(g.Subnet.Kind, g.Subnet.Name, g.Subnet.KindParams); err != nil {
		return err
	}
	if err := validate(g.Subnet.Hyperparameters, p); err != nil {
		return err
	}
	if int(g.Subnet.Neurons) != len(g.Neurons) {
		return fmt.Errorf("neurons is %d, but there are %d", g.Subnet.Neurons, len(g.Neurons))
	}
	seen := make(map[string]bool, len(g.Neurons))
	for uid, n := range g.Neurons {
		if int(n.Uid) != uid {
			return fmt.Errorf("uid %d stands where %d belongs", n.Uid, uid)
		}
		if seen[n.Account] {
			return fmt.Errorf("account %s has two neurons", n.Account)
		}
		seen[n.Account] = true
	}
	for _, list := range [][]subnetv1.Row{g.Weights, g.Bonds} {
		for _, r := range list {
			if r.Uid >= g.Subnet.Neurons {
				return fmt.Errorf("a row of uid %d, but only %d neurons", r.Uid, g.Subnet.Neurons)
			}
			if _, err := yuma.DecodeRow(r.Entries, yuma.MaxNeurons); err != nil {
				return fmt.Errorf("row of uid %d: %w", r.Uid, err)
			}
		}
	}
	return nil
}

// InitGenesis sets the module's state, after that of staking and emission.
// Subnets that never ran an epoch are due a tempo after the first block,
// staggered by netuid; without any shares in g, subnets get equal ones.
func (k *Keeper) InitGenesis(ctx context.Context, g *subnetv1.GenesisState) error {
	if err := errors.Join(
		k.params.Set(ctx, g.Params),
		k.price.Set(ctx, g.SubnetPrice),
		k.pricedAt.Set(ctx, g.SubnetPriceAt),
		k.burned.Set(ctx, g.Burned),
	); err != nil {
		return err
	}
	for i := range g.Subnets {
		if err := k.initSubnet(ctx, &g.Subnets[i]); err != nil {
			return fmt.Errorf("subnet %d: %w", g.Subnets[i].Subnet.Netuid, err)
		}
	}
	for _, c := range g.Claimable {
		account, err := k.bytes(c.Account)
		if err != nil {
			return err
		}
		if err := k.claimable.Set(ctx, account, c.Amount); err != nil {
			return err
		}
	}
	if slices.ContainsFunc(g.Subnets, func(s subnetv1.SubnetGenesis) bool { return s.Subnet.Share != 0 }) {
		return nil
	}
	return k.reshare(ctx)
}

// initSubnet sets the state of one subnet.
func (k *Keeper) initSubnet(ctx context.Context, g *subnetv1.SubnetGenesis) error {
	s := g.Subnet
	if s.NextEpoch == 0 {
		s.NextEpoch = height(ctx) + int64(s.Hyperparameters.Tempo) + int64(uint64(s.Netuid)%s.Hyperparameters.Tempo)
	}
	if s.Burn == 0 {
		s.Burn = s.Hyperparameters.BurnMin
	}
	if err := k.queue.Set(ctx, collections.Join(uint64(s.NextEpoch), s.Netuid)); err != nil {
		return err
	}
	if err := k.subnets.Set(ctx, s.Netuid, s); err != nil {
		return err
	}
	for _, n := range g.Neurons {
		account, err := k.bytes(n.Account)
		if err != nil {
			return err
		}
		if err := k.setNeuron(ctx, s.Netuid, account, n); err != nil {
			return err
		}
	}
	return k.initRows(ctx, g)
}

// initRows sets the weights, bonds, commits and latest epoch of one subnet.
func (k *Keeper) initRows(ctx context.Context, g *subnetv1.SubnetGenesis) error {
	netuid := g.Subnet.Netuid
	var err error
	for _, r := range g.Weights {
		err = errors.Join(err, k.weights.Set(ctx, collections.Join(netuid, r.Uid), r))
	}
	for _, r := range g.Bonds {
		err = errors.Join(err, k.bonds.Set(ctx, collections.Join(netuid, r.Uid), r))
	}
	for _, c := range g.Commits {
		err = errors.Join(err, k.commits.Set(ctx, collections.Join3(netuid, c.Uid, c.Epoch), c))
	}
	if g.Epoch != nil {
		err = errors.Join(err, k.epochs.Set(ctx, netuid, *g.Epoch))
	}
	return err
}

// ExportGenesis returns the module's state.
func (k *Keeper) ExportGenesis(ctx context.Context) (*subnetv1.GenesisState, error) {
	g := &subnetv1.GenesisState{}
	var err error
	read := func(f func() error) {
		if err == nil {
			err = f()
		}
	}
	read(func() (e error) { g.Params, e = k.params.Get(ctx); return })
	read(func() (e error) { g.SubnetPrice, e = k.price.Get(ctx); return })
	read(func() (e error) { g.SubnetPriceAt, e = k.pricedAt.Get(ctx); return })
	read(func() (e error) { g.Burned, e = k.burned.Get(ctx); return })
	read(func() error {
		return k.subnets.Walk(ctx, nil, func(_ uint32, s subnetv1.Subnet) (bool, error) {
			exported, err := k.exportSubnet(ctx, s)
			g.Subnets = append(g.Subnets, exported)
			return false, err
		})
	})
	read(func() error {
		return k.claimable.Walk(ctx, nil, func(account []byte, amount uint64) (bool, error) {
			g.Claimable = append(g.Claimable, subnetv1.Claimable{Account: k.text(account), Amount: amount})
			return false, nil
		})
	})
	return g, err
}

// exportSubnet returns one subnet with everything that belongs to it.
func (k *Keeper) exportSubnet(ctx context.Context, s subnetv1.Subnet) (subnetv1.SubnetGenesis, error) {
	g := subnetv1.SubnetGenesis{Subnet: s}
	err := k.eachNeuron(ctx, s.Netuid, func(n subnetv1.Neuron) error {
		g.Neurons = append(g.Neurons, n)
		return nil
	})
	if err != nil {
		return g, err
	}
	if g.Weights, err = packed(ctx, k.weights, s.Netuid); err != nil {
		return g, err
	}
	if g.Bonds, err = packed(ctx, k.bonds, s.Netuid); err != nil {
		return g, err
	}
	err = k.commits.Walk(ctx, collections.NewPrefixedTripleRange[uint32, uint32, uint64](s.Netuid),
		func(_ collections.Triple[uint32, uint32, uint64], c subnetv1.Commit) (bool, error) {
			g.Commits = append(g.Commits, c)
			return false, nil
		})
	if err != nil {
		return g, err
	}
	epoch, err := k.epoch(ctx, s.Netuid)
	if epoch.Height != 0 {
		g.Epoch = &epoch
	}
	return g, err
}

// packed returns the rows of a subnet as they are stored.
func packed(ctx context.Context, m collections.Map[slot, subnetv1.Row], netuid uint32) ([]subnetv1.Row, error) {
	it, err := m.Iterate(ctx, collections.NewPrefixedPairRange[uint32, uint32](netuid))
	if err != nil {
		return nil, err
	}
	return it.Values()
}

// Promised returns all that subnets are to split and accounts to claim: what
// the keeper owes of what it was allocated.
func (k *Keeper) Promised(ctx context.Context) (coin.Amount, error) {
	var sum coin.Amount
	err := k.subnets.Walk(ctx, nil, func(_ uint32, s subnetv1.Subnet) (bool, error) {
		sum += coin.Amount(s.Pending)
		return false, nil
	})
	if err != nil {
		return 0, err
	}
	return sum, k.claimable.Walk(ctx, nil, func(_ []byte, amount uint64) (bool, error) {
		sum += coin.Amount(amount)
		return false, nil
	})
}

// Check returns an error if the state contradicts itself: uids are dense,
// accounts and uids are one to one, rows and commits are of live uids, and
// every subnet is queued once, for when it says it is.
func (k *Keeper) Check(ctx context.Context) error {
	queued := map[uint32]uint64{}
	err := k.queue.Walk(ctx, nil, func(at collections.Pair[uint64, uint32]) (bool, error) {
		if _, twice := queued[at.K2()]; twice {
			return true, fmt.Errorf("subnet %d is queued twice", at.K2())
		}
		queued[at.K2()] = at.K1()
		return false, nil
	})
	if err != nil {
		return err
	}
	seats := 0
	err = k.subnets.Walk(ctx, nil, func(netuid uint32, s subnetv1.Subnet) (bool, error) {
		seats += int(s.Neurons)
		if queued[netuid] != uint64(s.NextEpoch) {
			return true, fmt.Errorf("subnet %d is queued for %d, but its next epoch is at %d", netuid, queued[netuid], s.NextEpoch)
		}
		return false, k.checkSubnet(ctx, s)
	})
	if err != nil {
		return err
	}
	accounts := 0
	err = k.uids.Walk(ctx, nil, func(seat, uint32) (bool, error) { accounts++; return false, nil })
	if err == nil && accounts != seats {
		return fmt.Errorf("%d accounts for %d uids", accounts, seats)
	}
	return err
}

// checkSubnet checks one subnet.
func (k *Keeper) checkSubnet(ctx context.Context, s subnetv1.Subnet) error {
	var next uint32
	err := k.eachNeuron(ctx, s.Netuid, func(n subnetv1.Neuron) error {
		account, err := k.bytes(n.Account)
		if err != nil {
			return err
		}
		uid, err := k.uids.Get(ctx, collections.Join(s.Netuid, []byte(account)))
		if err != nil || uid != n.Uid || n.Uid != next {
			return fmt.Errorf("subnet %d: uid %d stands at %d and its account at %d: %w", s.Netuid, n.Uid, next, uid, err)
		}
		next++
		return nil
	})
	if err != nil {
		return err
	}
	if next != s.Neurons {
		return fmt.Errorf("subnet %d: %d neurons, but it counts %d", s.Netuid, next, s.Neurons)
	}
	for _, m := range []collections.Map[slot, subnetv1.Row]{k.weights, k.bonds} {
		if _, _, err := rows(ctx, m, s.Netuid, int(s.Neurons)); err != nil {
			return err
		}
	}
	return k.commits.Walk(ctx, collections.NewPrefixedTripleRange[uint32, uint32, uint64](s.Netuid),
		func(_ collections.Triple[uint32, uint32, uint64], c subnetv1.Commit) (bool, error) {
			if c.Uid >= s.Neurons {
				return true, fmt.Errorf("subnet %d: a commit of uid %d, but only %d neurons", s.Netuid, c.Uid, s.Neurons)
			}
			return false, nil
		})
}

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
	if g.Subnet.Netuid > maxNetuid {
		return fmt.Errorf("netuids are at most %d", maxNetuid)
	}
	if err := validateText(g.Subnet.Kind, g.Subnet.Name, g.Subnet.KindParams); err != nil {
		return err
	}
	if err := errors.Join(validate(g.Subnet.Hyperparameters, p), checkMechanisms(&g.Subnet, p), checkIdentity(g.Subnet.Identity)); err != nil {
		return err
	}
	if len(g.Mechanisms) >= int(mechanisms(&g.Subnet)) {
		return fmt.Errorf("state of %d mechanisms besides the first, but there are %d in all", len(g.Mechanisms), mechanisms(&g.Subnet))
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
	for _, c := range g.Commitments {
		if c.Uid >= g.Subnet.Neurons || len(c.Data) > maxCommitment {
			return fmt.Errorf("a commitment of uid %d and %d bytes, but only %d neurons and at most %d bytes",
				c.Uid, len(c.Data), g.Subnet.Neurons, maxCommitment)
		}
	}
	lists := [][]subnetv1.Row{g.Weights, g.Bonds}
	for _, m := range g.Mechanisms {
		lists = append(lists, m.Weights, m.Bonds)
	}
	for _, list := range lists {
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
	if g.LatestNetuid != 0 {
		if err := k.latest.Set(ctx, g.LatestNetuid); err != nil {
			return err
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
	if err := k.initEarnings(ctx, g.Earnings); err != nil {
		return err
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
	return errors.Join(k.initRows(ctx, g), k.initOwned(ctx, g))
}

// initOwned sets the lane of work, the commitments and the families of one
// subnet.
func (k *Keeper) initOwned(ctx context.Context, g *subnetv1.SubnetGenesis) error {
	netuid := g.Subnet.Netuid
	if g.Work.Height != 0 {
		if err := k.work.Set(ctx, netuid, g.Work); err != nil {
			return err
		}
	}
	for _, c := range g.Commitments {
		if err := k.commitments.Set(ctx, collections.Join(netuid, c.Uid), c); err != nil {
			return err
		}
	}
	for _, f := range g.Families {
		account, err := k.bytes(f.Account)
		if err == nil {
			err = errors.Join(k.link(ctx, netuid, account, f.Loans), k.setFamily(ctx, netuid, account, f))
		}
		if err != nil {
			return fmt.Errorf("family of %q: %w", f.Account, err)
		}
	}
	return k.checkFamilies(ctx, netuid)
}

// initRows sets what the mechanisms of one subnet keep.
func (k *Keeper) initRows(ctx context.Context, g *subnetv1.SubnetGenesis) error {
	first := subnetv1.MechanismGenesis{Weights: g.Weights, Bonds: g.Bonds, Commits: g.Commits, Epoch: g.Epoch}
	err := k.initShelf(ctx, shelfOf(g.Subnet.Netuid, 0), first)
	for i, m := range g.Mechanisms {
		err = errors.Join(err, k.initShelf(ctx, shelfOf(g.Subnet.Netuid, uint32(i)+1), m))
	}
	return err
}

// initShelf sets the weights, bonds, commits and latest epoch of a mechanism.
func (k *Keeper) initShelf(ctx context.Context, at shelf, g subnetv1.MechanismGenesis) error {
	var err error
	for _, r := range g.Weights {
		err = errors.Join(err, k.weights.Set(ctx, at.slot(r.Uid), r))
	}
	for _, r := range g.Bonds {
		err = errors.Join(err, k.bonds.Set(ctx, at.slot(r.Uid), r))
	}
	for _, c := range g.Commits {
		err = errors.Join(err, k.commits.Set(ctx, collections.Join3(uint32(at), c.Uid, c.Epoch), c))
	}
	if g.Epoch != nil {
		err = errors.Join(err, k.epochs.Set(ctx, uint32(at), *g.Epoch))
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
	read(func() (e error) { g.LatestNetuid, e = optional(ctx, k.latest); return })
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
	read(func() error {
		return k.earnings.Walk(ctx, nil, func(_ earner, e subnetv1.Earning) (bool, error) {
			g.Earnings = append(g.Earnings, e)
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
	for i, at := range shelves(&s) {
		m, err := k.exportShelf(ctx, at)
		if err != nil {
			return g, err
		}
		if i == 0 {
			g.Weights, g.Bonds, g.Commits, g.Epoch = m.Weights, m.Bonds, m.Commits, m.Epoch
		} else {
			g.Mechanisms = append(g.Mechanisms, m)
		}
	}
	err = k.exportOwned(ctx, &g)
	return g, err
}

// exportOwned adds the lane of work, the commitments and the families of one
// subnet.
func (k *Keeper) exportOwned(ctx context.Context, g *subnetv1.SubnetGenesis) (err error) {
	netuid := g.Subnet.Netuid
	if g.Work, err = k.lane(ctx, netuid); err != nil {
		return err
	}
	commitments, err := k.commitments.Iterate(ctx, collections.NewPrefixedPairRange[uint32, uint32](netuid))
	if err != nil {
		return err
	}
	if g.Commitments, err = commitments.Values(); err != nil {
		return err
	}
	families, err := k.families.Iterate(ctx, collections.NewPrefixedPairRange[uint32, []byte](netuid))
	if err != nil {
		return err
	}
	g.Families, err = families.Values()
	return err
}

// exportShelf returns what a mechanism keeps.
func (k *Keeper) exportShelf(ctx context.Context, at shelf) (g subnetv1.MechanismGenesis, err error) {
	if g.Weights, err = packed(ctx, k.weights, at); err != nil {
		return g, err
	}
	if g.Bonds, err = packed(ctx, k.bonds, at); err != nil {
		return g, err
	}
	err = k.commits.Walk(ctx, commitsOf(at), func(_ collections.Triple[uint32, uint32, uint64], c subnetv1.Commit) (bool, error) {
		g.Commits = append(g.Commits, c)
		return false, nil
	})
	if err != nil {
		return g, err
	}
	epoch, err := k.epoch(ctx, at)
	if epoch.Height != 0 {
		g.Epoch = &epoch
	}
	return g, err
}

// optional returns what an item holds, or the zero value if it holds nothing.
func optional[V any](ctx context.Context, item collections.Item[V]) (V, error) {
	v, err := item.Get(ctx)
	if errors.Is(err, collections.ErrNotFound) {
		return v, nil
	}
	return v, err
}

// packed returns the rows of a mechanism as they are stored.
func packed(ctx context.Context, m collections.Map[slot, subnetv1.Row], at shelf) ([]subnetv1.Row, error) {
	it, err := m.Iterate(ctx, rowsOf(at))
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
	err = k.dissolving.Walk(ctx, nil, func(_ uint32, s subnetv1.Subnet) (bool, error) {
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
	err = k.uids.Walk(ctx, nil, func(at seat, _ uint32) (bool, error) {
		gone, err := k.dissolving.Has(ctx, at.K1())
		if !gone {
			accounts++
		}
		return false, err
	})
	if err != nil {
		return err
	}
	if accounts != seats {
		return fmt.Errorf("%d accounts for %d uids", accounts, seats)
	}
	return errors.Join(k.checkDissolved(ctx), k.checkEarnings(ctx))
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
	for _, at := range shelves(&s) {
		if err := k.checkShelf(ctx, at, int(s.Neurons)); err != nil {
			return err
		}
	}
	return errors.Join(k.checkCommitments(ctx, s), k.checkFamilies(ctx, s.Netuid))
}

// checkShelf checks one mechanism of a subnet of n neurons.
func (k *Keeper) checkShelf(ctx context.Context, at shelf, n int) error {
	for _, m := range []collections.Map[slot, subnetv1.Row]{k.weights, k.bonds} {
		if _, _, err := rows(ctx, m, at, n); err != nil {
			return err
		}
	}
	return k.commits.Walk(ctx, commitsOf(at), func(_ collections.Triple[uint32, uint32, uint64], c subnetv1.Commit) (bool, error) {
		if int(c.Uid) >= n {
			return true, fmt.Errorf("%v: a commit of uid %d, but only %d neurons", at, c.Uid, n)
		}
		return false, nil
	})
}

// checkDissolved checks that nothing is left of subnets and mechanisms that
// are gone, but for what a dissolving subnet still has to sweep.
func (k *Keeper) checkDissolved(ctx context.Context) error {
	live := map[shelf]bool{}
	note := func(_ uint32, s subnetv1.Subnet) (bool, error) {
		for _, at := range shelves(&s) {
			live[at] = true
		}
		return false, nil
	}
	if err := errors.Join(k.subnets.Walk(ctx, nil, note), k.dissolving.Walk(ctx, nil, note)); err != nil {
		return err
	}
	expect := func(at uint32) (bool, error) {
		if !live[shelf(at)] {
			return true, fmt.Errorf("something is left of %v, which is gone", shelf(at))
		}
		return false, nil
	}
	row := func(at slot, _ subnetv1.Row) (bool, error) { return expect(at.K1()) }
	return errors.Join(
		k.weights.Walk(ctx, nil, row),
		k.bonds.Walk(ctx, nil, row),
		k.neurons.Walk(ctx, nil, func(at slot, _ subnetv1.Neuron) (bool, error) { return expect(at.K1()) }),
		k.uids.Walk(ctx, nil, func(at seat, _ uint32) (bool, error) { return expect(at.K1()) }),
		k.epochs.Walk(ctx, nil, func(at uint32, _ subnetv1.Epoch) (bool, error) { return expect(at) }),
		k.commits.Walk(ctx, nil, func(at collections.Triple[uint32, uint32, uint64], _ subnetv1.Commit) (bool, error) {
			return expect(at.K1())
		}),
		k.rides.Walk(ctx, nil, func(at collections.Triple[uint32, []byte, uint32], _ int64) (bool, error) { return expect(at.K1()) }),
		k.queue.Walk(ctx, nil, func(at collections.Pair[uint64, uint32]) (bool, error) { return expect(at.K2()) }),
		k.commitments.Walk(ctx, nil, func(at slot, _ subnetv1.Commitment) (bool, error) { return expect(at.K1()) }),
		k.families.Walk(ctx, nil, func(at seat, _ subnetv1.Family) (bool, error) { return expect(at.K1()) }),
		k.parents.Walk(ctx, nil, func(at collections.Triple[uint32, []byte, []byte]) (bool, error) { return expect(at.K1()) }),
		k.work.Walk(ctx, nil, func(at uint32, _ subnetv1.WorkLane) (bool, error) { return expect(at) }),
	)
}

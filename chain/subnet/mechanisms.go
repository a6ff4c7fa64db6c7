package subnet

import (
	"context"
	"errors"
	"fmt"
	"math"

	"cosmossdk.io/collections"

	sdkerrors "github.com/cosmos/cosmos-sdk/types/errors"

	subnetv1 "github.com/plexus-network/plexus/api/plexus/subnet/v1"
	"github.com/plexus-network/plexus/coin"
)

// maxMechanisms is how many mechanisms a subnet may have.
const maxMechanisms = 8

// A shelf is where one mechanism of a subnet keeps its weights, bonds, commits
// and latest epoch: the mechanism in the upper 16 bits, the netuid in the
// lower. So the shelf of mechanism 0 is the netuid itself.
type shelf uint32

// shelfOf returns the shelf of a mechanism, which must be below maxMechanisms.
func shelfOf(netuid, mechanism uint32) shelf { return shelf(mechanism<<16 | netuid) }

func (s shelf) netuid() uint32    { return uint32(s) & math.MaxUint16 }
func (s shelf) mechanism() uint32 { return uint32(s) >> 16 }

// slot returns the place of a uid's row on s.
func (s shelf) slot(uid uint32) slot { return collections.Join(uint32(s), uid) }

// String names s in errors.
func (s shelf) String() string {
	if s.mechanism() == 0 {
		return fmt.Sprintf("subnet %d", s.netuid())
	}
	return fmt.Sprintf("subnet %d, mechanism %d", s.netuid(), s.mechanism())
}

// rowsOf ranges over the rows on a shelf.
func rowsOf(at shelf) collections.Ranger[slot] {
	return collections.NewPrefixedPairRange[uint32, uint32](uint32(at))
}

// commitsOf ranges over the commits on a shelf.
func commitsOf(at shelf) collections.Ranger[collections.Triple[uint32, uint32, uint64]] {
	return collections.NewPrefixedTripleRange[uint32, uint32, uint64](uint32(at))
}

// mechanisms returns how many mechanisms s has.
func mechanisms(s *subnetv1.Subnet) uint32 { return max(s.Mechanisms, 1) }

// shelves returns the shelves of all mechanisms of s.
func shelves(s *subnetv1.Subnet) []shelf {
	all := make([]shelf, mechanisms(s))
	for i := range all {
		all[i] = shelfOf(s.Netuid, uint32(i))
	}
	return all
}

// shelf returns the shelf of a mechanism of a subnet, or an error if the subnet
// has no such mechanism.
func (k *Keeper) shelf(ctx context.Context, netuid, mechanism uint32) (subnetv1.Subnet, shelf, error) {
	s, err := k.subnet(ctx, netuid)
	if err != nil {
		return s, 0, err
	}
	if n := mechanisms(&s); mechanism >= n {
		return s, 0, sdkerrors.ErrNotFound.Wrapf("subnet %d has mechanisms 0 to %d, and none of number %d", netuid, n-1, mechanism)
	}
	return s, shelfOf(netuid, mechanism), nil
}

// parts splits a pot between the mechanisms of s, to the unit.
func parts(s *subnetv1.Subnet, pot coin.Amount) []coin.Amount {
	if len(s.Split) == 0 {
		return coin.SplitEvenly(pot, int(mechanisms(s)))
	}
	proportions := make([]uint16, len(s.Split))
	for i, p := range s.Split {
		proportions[i] = uint16(p)
	}
	return coin.Split(pot, proportions)
}

// lastUpdate returns when n last set or committed weights in a mechanism.
func lastUpdate(n subnetv1.Neuron, mechanism uint32) int64 {
	switch {
	case mechanism == 0:
		return n.LastUpdate
	case int(mechanism) <= len(n.LastUpdates):
		return n.LastUpdates[mechanism-1]
	}
	return 0
}

// update notes that n set or committed weights in a mechanism.
func update(n *subnetv1.Neuron, mechanism uint32, at int64) {
	if mechanism == 0 {
		n.LastUpdate = at
		return
	}
	for len(n.LastUpdates) < int(mechanism) {
		n.LastUpdates = append(n.LastUpdates, 0)
	}
	n.LastUpdates[mechanism-1] = at
}

// checkMechanisms tells what is wrong with the mechanisms of s, if anything.
func checkMechanisms(s *subnetv1.Subnet, p subnetv1.Params) error {
	n := mechanisms(s)
	if n > maxMechanisms {
		return fmt.Errorf("%d mechanisms; a subnet has 1 to %d", n, maxMechanisms)
	}
	if s.Netuid == Root && n > 1 {
		return errors.New("the root has one mechanism")
	}
	if slots := uint64(n) * uint64(s.Hyperparameters.MaxUids); n > 1 && slots > uint64(p.MaxUids) {
		return fmt.Errorf("%d mechanisms of %d uids are %d; at most %d: lower max_uids first", n, s.Hyperparameters.MaxUids, slots, p.MaxUids)
	}
	if len(s.Split) == 0 {
		return nil
	}
	if len(s.Split) != int(n) {
		return fmt.Errorf("split has %d proportions for %d mechanisms", len(s.Split), n)
	}
	var sum uint64
	for _, part := range s.Split {
		sum += uint64(part)
	}
	if sum != math.MaxUint16 {
		return fmt.Errorf("split adds up to %d; it must be %d", sum, math.MaxUint16)
	}
	return nil
}

// SetMechanisms sets how many mechanisms a subnet has and how they share its
// emission.
func (m msgs) SetMechanisms(ctx context.Context, msg *subnetv1.MsgSetMechanisms) (*subnetv1.MsgSetMechanismsResponse, error) {
	s, params, err := m.owned(ctx, msg.Netuid, msg.Authority)
	if err != nil {
		return nil, err
	}
	if err := thawed(&s, params, now(ctx)); err != nil {
		return nil, err
	}
	if msg.Count == 0 {
		return nil, sdkerrors.ErrInvalidRequest.Wrapf("count is 0; a subnet has 1 to %d mechanisms", maxMechanisms)
	}
	old := shelves(&s)
	s.Mechanisms, s.Split = msg.Count, msg.Split
	if err := checkMechanisms(&s, params); err != nil {
		return nil, sdkerrors.ErrInvalidRequest.Wrap(err.Error())
	}
	for _, at := range old[min(len(old), int(s.Mechanisms)):] {
		if err := m.clearShelf(ctx, at); err != nil {
			return nil, err
		}
	}
	if err := m.truncateUpdates(ctx, &s); err != nil {
		return nil, err
	}
	s.UpdatedAt = height(ctx)
	return &subnetv1.MsgSetMechanismsResponse{}, m.subnets.Set(ctx, s.Netuid, s)
}

// clearShelf drops all that a mechanism kept.
func (k *Keeper) clearShelf(ctx context.Context, at shelf) error {
	return errors.Join(
		k.weights.Clear(ctx, rowsOf(at)),
		k.bonds.Clear(ctx, rowsOf(at)),
		k.commits.Clear(ctx, commitsOf(at)),
		k.epochs.Remove(ctx, uint32(at)),
		k.rides.Clear(ctx, ridesOf(at)),
	)
}

// truncateUpdates forgets when neurons spoke in mechanisms that s no longer has.
func (k *Keeper) truncateUpdates(ctx context.Context, s *subnetv1.Subnet) error {
	keep := int(mechanisms(s)) - 1
	var changed []subnetv1.Neuron
	err := k.eachNeuron(ctx, s.Netuid, func(n subnetv1.Neuron) error {
		if len(n.LastUpdates) > keep {
			n.LastUpdates = n.LastUpdates[:keep]
			changed = append(changed, n)
		}
		return nil
	})
	for _, n := range changed {
		err = errors.Join(err, k.neurons.Set(ctx, collections.Join(s.Netuid, n.Uid), n))
	}
	return err
}

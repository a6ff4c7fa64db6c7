package explorer

import (
	"bytes"
	"context"
	"errors"
	"math"
	"slices"
	"time"

	"github.com/cosmos/gogoproto/jsonpb"

	subnetv1 "github.com/plexus-network/plexus/api/plexus/subnet/v1"
	"github.com/plexus-network/plexus/coin"
	"github.com/plexus-network/plexus/ledger"
	"github.com/plexus-network/plexus/yuma"
)

// A sample is what the chain's state said after a block, as far as it was
// asked for. The zero sample says nothing.
type sample struct {
	seats       []seat
	subnets     []subnetv1.Subnet
	validators  []ledger.Validator
	schedule    *ledger.Schedule
	subnetPrice coin.Amount
	holders     map[string]coin.Amount // nil if not asked for
}

// What to sample after a block.
type want struct {
	all     bool // subnets, validators and the supply
	holders bool
}

// freshness is how young a block is whose state may still be on its way, and
// patience how long to wait for it.
const (
	freshness = 15 * time.Second
	patience  = 5 * time.Second
)

// observe reads the state after a block. A state that the node no longer has
// makes an empty sample; an error means that the node does not answer.
func observe(ctx context.Context, c *ledger.Client, h *harvest, w want) (*sample, error) {
	if !w.all && !w.holders && len(h.epochs) == 0 {
		return &sample{}, nil
	}
	ctx = ledger.At(ctx, yuma.Height(h.height))
	fresh := time.Since(time.UnixMilli(h.time)) < freshness
	for began := time.Now(); ; {
		s, err := read(ctx, c, h, w)
		switch {
		case err == nil:
			return s, nil
		case ctx.Err() != nil, errors.Is(err, ledger.ErrUnreachable):
			return nil, err
		case !fresh || time.Since(began) > patience:
			return &sample{}, nil
		case !pause(ctx, 50*time.Millisecond):
			return nil, ctx.Err()
		}
	}
}

// read reads the state of the height that ctx asks for.
func read(ctx context.Context, c *ledger.Client, h *harvest, w want) (*sample, error) {
	s := &sample{}
	var err error
	for i, e := range h.epochs {
		if slices.ContainsFunc(h.epochs[:i], func(o *subnetv1.EventEpoch) bool { return o.Netuid == e.Netuid }) {
			continue // of another mechanism
		}
		m, err := c.Metagraph(ctx, yuma.Netuid(e.Netuid))
		if err != nil {
			return nil, err
		}
		for _, n := range m.Neurons {
			s.seats = append(s.seats, seat{e.Netuid, uint32(n.UID), n.Account})
		}
		if !w.all {
			one, err := c.Subnet(ctx, yuma.Netuid(e.Netuid))
			if err != nil {
				return nil, err
			}
			s.subnets = append(s.subnets, one)
		}
	}
	if w.holders {
		if s.holders, err = c.Holders(ctx); err != nil {
			return nil, err
		}
	}
	if !w.all {
		return s, nil
	}
	schedule, err := c.Schedule(ctx)
	if err != nil {
		return nil, err
	}
	price, err := c.Price(ctx, 0)
	if err != nil {
		return nil, err
	}
	s.schedule, s.subnetPrice = &schedule, price.Price
	if s.validators, err = c.Validators(ctx); err != nil {
		return nil, err
	}
	s.subnets, err = c.Subnets(ctx)
	return s, err
}

// add adds the rows of a sample to those of its block.
func (s *sample) add(h *harvest) {
	for i := range s.subnets {
		row := subnetRow(&s.subnets[i], h.height)
		h.rows.add(subnetsTable, row...)
		h.rows.add(subnetStatesTable, row...)
	}
	if p := s.schedule; p != nil {
		h.rows.add(supplyTable, h.height, h.time, stored(p.Supply), stored(p.Minted), stored(p.Burned), stored(p.Bootstrap),
			stored(p.Unallocated), stored(p.PerDay), p.Era, p.NextHalving.UnixMilli(), stored(s.subnetPrice))
	}
}

// subnetRow returns the row of a subnet's record, with what a slot costs at
// that height.
func subnetRow(s *subnetv1.Subnet, at int64) []any {
	p := &s.Hyperparameters
	law := coin.Price{
		Min: coin.Amount(p.BurnMin), Max: coin.Amount(p.BurnMax),
		HalfLife: uint32(min(p.BurnHalfLife, math.MaxUint32)), Growth: p.BurnIncrease,
	}
	price := law.Decay(coin.Amount(s.Burn), uint64(max(at-s.BurnAt, 0)))
	var text bytes.Buffer
	if err := (&jsonpb.Marshaler{OrigName: true, EmitDefaults: true}).Marshal(&text, p); err != nil {
		text.WriteString("{}")
	}
	const share = 48 // bits that a proportion of 65535 does not show
	return []any{
		int64(s.Netuid), at, s.Owner, s.Kind, s.Name, s.RegisteredAt, int64(s.Neurons), stored(s.Epoch), stored(p.Tempo), s.NextEpoch,
		int64(s.Share >> share), stored(s.Pending), stored(price), text.String(), string(s.KindParams),
	}
}

// neurons adds a row per neuron of an epoch. Lists that are too short, which
// the chain does not make, count as zeros.
func (h *harvest) neurons(of *subnetv1.EventEpoch, k *known) {
	e, accounts := &of.Epoch, k.seats[of.Netuid]
	for uid := range min(len(e.Stake), yuma.MaxNeurons) {
		var account string
		if uid < len(accounts) {
			account = accounts[uid]
		}
		if operator := operatorOf(account); operator != "" && e.Stake[uid] > 0 {
			k.stake[operator] = stored(e.Stake[uid])
		}
		h.rows.add(neuronsTable, int64(of.Netuid), h.height, int64(of.Mechanism), uid, account, stored(e.Stake[uid]), at(e.Active, uid), at(e.Permit, uid),
			int64(at(e.Trust, uid)), int64(at(e.Consensus, uid)), int64(at(e.Incentive, uid)), int64(at(e.Dividends, uid)),
			int64(at(e.ValidatorTrust, uid)), stored(at(e.ServerEmission, uid)), stored(at(e.ValidatorEmission, uid)))
	}
}

// at returns all[i], or the zero value if all is shorter.
func at[T any](all []T, i int) T {
	if i < len(all) {
		return all[i]
	}
	var zero T
	return zero
}

// pause waits for d and reports true, or false when ctx ends first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

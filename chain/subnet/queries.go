package subnet

import (
	"context"

	"cosmossdk.io/collections"

	"github.com/cosmos/cosmos-sdk/types/query"

	subnetv1 "github.com/plexus-network/plexus/api/plexus/subnet/v1"
	"github.com/plexus-network/plexus/coin"
)

// queries serves the module's queries.
type queries struct{ *Keeper }

// Params returns the parameters.
func (q queries) Params(ctx context.Context, _ *subnetv1.QueryParamsRequest) (*subnetv1.QueryParamsResponse, error) {
	p, err := q.params.Get(ctx)
	return &subnetv1.QueryParamsResponse{Params: p}, err
}

// Subnet returns one subnet's record.
func (q queries) Subnet(ctx context.Context, r *subnetv1.QuerySubnetRequest) (*subnetv1.QuerySubnetResponse, error) {
	s, err := q.subnet(ctx, r.Netuid)
	if err != nil {
		return nil, err
	}
	return &subnetv1.QuerySubnetResponse{Subnet: s}, nil
}

// Subnets lists the subnets' records, the root first.
func (q queries) Subnets(ctx context.Context, r *subnetv1.QuerySubnetsRequest) (*subnetv1.QuerySubnetsResponse, error) {
	subnets, page, err := query.CollectionPaginate(ctx, q.subnets, r.Pagination,
		func(_ uint32, s subnetv1.Subnet) (subnetv1.Subnet, error) { return s, nil })
	if err != nil {
		return nil, err
	}
	return &subnetv1.QuerySubnetsResponse{Subnets: subnets, Pagination: page}, nil
}

// Metagraph returns a subnet's whole state, or the selected fields of it.
func (q queries) Metagraph(ctx context.Context, r *subnetv1.QueryMetagraphRequest) (*subnetv1.QueryMetagraphResponse, error) {
	keep, err := selection(r.Fields)
	if err != nil {
		return nil, err
	}
	s, at, err := q.shelf(ctx, r.Netuid, r.Mechanism)
	if err != nil {
		return nil, err
	}
	epoch, err := q.epoch(ctx, at)
	if err != nil {
		return nil, err
	}
	m := &subnetv1.QueryMetagraphResponse{Height: height(ctx), Subnet: s, EpochHeight: epoch.Height}
	err = q.eachNeuron(ctx, r.Netuid, func(n subnetv1.Neuron) error {
		state, err := q.state(ctx, n, &epoch)
		m.Neurons = append(m.Neurons, keep(state))
		return err
	})
	if err != nil {
		return nil, err
	}
	return m, nil
}

// state returns a neuron with what the latest epoch said of it. The stake of
// one that no epoch has seen is that of now.
func (q queries) state(ctx context.Context, n subnetv1.Neuron, e *subnetv1.Epoch) (subnetv1.NeuronState, error) {
	account, err := q.bytes(n.Account)
	if err != nil {
		return subnetv1.NeuronState{}, err
	}
	claimable, err := q.claim(ctx, account)
	if err != nil {
		return subnetv1.NeuronState{}, err
	}
	state := subnetv1.NeuronState{Neuron: n, Claimable: uint64(claimable)}
	i := int(n.Uid)
	if i >= len(e.Stake) || n.RegisteredAt >= e.Height {
		stake, err := q.stake(ctx, account)
		state.Stake = uint64(stake)
		return state, err
	}
	state.Stake, state.Active, state.Permit = e.Stake[i], e.Active[i], e.Permit[i]
	state.Rank, state.Trust, state.Consensus = e.Rank[i], e.Trust[i], e.Consensus[i]
	state.Incentive, state.Dividends, state.ValidatorTrust = e.Incentive[i], e.Dividends[i], e.ValidatorTrust[i]
	state.ServerEmission, state.ValidatorEmission = e.ServerEmission[i], e.ValidatorEmission[i]
	return state, nil
}

// Neuron returns an account's neuron on a subnet.
func (q queries) Neuron(ctx context.Context, r *subnetv1.QueryNeuronRequest) (*subnetv1.QueryNeuronResponse, error) {
	account, err := q.bytes(r.Account)
	if err != nil {
		return nil, err
	}
	n, err := q.neuron(ctx, r.Netuid, account)
	if err != nil {
		return nil, err
	}
	epoch, err := q.epoch(ctx, shelfOf(r.Netuid, 0))
	if err != nil {
		return nil, err
	}
	state, err := q.state(ctx, n, &epoch)
	if err != nil {
		return nil, err
	}
	return &subnetv1.QueryNeuronResponse{Neuron: state}, nil
}

// Weights returns the weights of all validators of a subnet.
func (q queries) Weights(ctx context.Context, r *subnetv1.QueryWeightsRequest) (*subnetv1.QueryWeightsResponse, error) {
	rows, err := q.view(ctx, q.weights, r.Netuid, r.Mechanism)
	if err != nil {
		return nil, err
	}
	return &subnetv1.QueryWeightsResponse{Rows: rows}, nil
}

// Bonds returns the bonds of all validators of a subnet.
func (q queries) Bonds(ctx context.Context, r *subnetv1.QueryBondsRequest) (*subnetv1.QueryBondsResponse, error) {
	rows, err := q.view(ctx, q.bonds, r.Netuid, r.Mechanism)
	if err != nil {
		return nil, err
	}
	return &subnetv1.QueryBondsResponse{Rows: rows}, nil
}

// view returns the rows of a mechanism, unpacked.
func (q queries) view(ctx context.Context, m collections.Map[slot, subnetv1.Row], netuid, mechanism uint32) ([]subnetv1.RowView, error) {
	s, at, err := q.shelf(ctx, netuid, mechanism)
	if err != nil {
		return nil, err
	}
	unpacked, _, err := rows(ctx, m, at, int(s.Neurons))
	if err != nil {
		return nil, err
	}
	var views []subnetv1.RowView
	for uid, row := range unpacked {
		if row == nil {
			continue
		}
		view := subnetv1.RowView{Uid: uint32(uid)}
		for _, e := range row {
			view.Uids, view.Values = append(view.Uids, uint32(e.UID)), append(view.Values, uint32(e.Value))
		}
		views = append(views, view)
	}
	return views, nil
}

// Price quotes what registration costs in the next block.
func (q queries) Price(ctx context.Context, r *subnetv1.QueryPriceRequest) (*subnetv1.QueryPriceResponse, error) {
	next := height(ctx) + 1
	if r.Netuid == Root {
		return q.quoteSubnet(ctx, next)
	}
	s, err := q.subnet(ctx, r.Netuid)
	if err != nil {
		return nil, err
	}
	now := burnPrice(&s, next)
	return &subnetv1.QueryPriceResponse{
		Price:    nplx(now),
		After:    nplx(priceLaw(&s).Bump(now)),
		Floor:    nplx(coin.Amount(s.Hyperparameters.BurnMin)),
		HalfLife: s.Hyperparameters.BurnHalfLife,
	}, nil
}

// quoteSubnet quotes what a subnet costs at a height.
func (q queries) quoteSubnet(ctx context.Context, at int64) (*subnetv1.QueryPriceResponse, error) {
	params, err := q.params.Get(ctx)
	if err != nil {
		return nil, err
	}
	now, err := q.subnetPrice(ctx, params, at)
	if err != nil {
		return nil, err
	}
	law := coin.SubnetPrice{Min: coin.Amount(params.SubnetPriceMin), Interval: params.SubnetPriceDecay}
	after, err := law.After(now, 0)
	return &subnetv1.QueryPriceResponse{Price: nplx(now), After: nplx(after), Floor: nplx(law.Min)}, err
}

// Claimable returns what an account can claim.
func (q queries) Claimable(ctx context.Context, r *subnetv1.QueryClaimableRequest) (*subnetv1.QueryClaimableResponse, error) {
	account, err := q.bytes(r.Account)
	if err != nil {
		return nil, err
	}
	amount, err := q.claim(ctx, account)
	return &subnetv1.QueryClaimableResponse{Amount: nplx(amount)}, err
}

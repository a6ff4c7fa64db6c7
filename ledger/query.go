package ledger

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"time"

	sdkmath "cosmossdk.io/math"
	grpctypes "github.com/cosmos/cosmos-sdk/types/grpc"
	"github.com/cosmos/cosmos-sdk/types/query"
	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"
	stakingtypes "github.com/cosmos/cosmos-sdk/x/staking/types"
	"google.golang.org/grpc/metadata"

	emissionv1 "github.com/plexus-network/plexus/api/plexus/emission/v1"
	subnetv1 "github.com/plexus-network/plexus/api/plexus/subnet/v1"
	"github.com/plexus-network/plexus/coin"
	"github.com/plexus-network/plexus/yuma"
)

// Quote is what a registration costs now.
type Quote struct {
	Price    coin.Amount // in the next block
	After    coin.Amount // right after one more registration
	Floor    coin.Amount // what the price falls to in time
	HalfLife yuma.Blocks // in which the price halves; 0 for a subnet's, which falls in a straight line
}

// Schedule is where the token's schedule stands.
type Schedule struct {
	Minted      coin.Amount
	Scheduled   coin.Amount // what the law says must be minted by now; equal to Minted
	Cap         coin.Amount // the most that is ever minted
	Supply      coin.Amount // in existence, less Bootstrap
	Unallocated coin.Amount // minted, and not yet given to a subnet
	Bootstrap   coin.Amount // stake that nobody owns and that will be burned
	Burned      coin.Amount // by users, for registrations
	PerDay      coin.Amount // minted in a day of this era
	Era         int         // halvings so far
	NextHalving time.Time   // if no block is late
}

// Validator is a validator of the chain.
type Validator struct {
	Operator string // bech32 address of a validator, "plxvaloper1…"
	Account  string // bech32 address of the account that runs it, "plx1…"
	Moniker  string
	Stake    coin.Amount // bonded tokens; 0 unless Bonded
	Bonded   bool        // makes blocks, and its stake counts on subnets
	Jailed   bool
}

// At makes the queries of ctx see the state after the block at a height. Nodes
// keep the states of a limited number of blocks.
func At(ctx context.Context, height yuma.Height) context.Context {
	return metadata.AppendToOutgoingContext(ctx, grpctypes.GRPCBlockHeightHeader, strconv.FormatUint(uint64(height), 10))
}

// metagraph returns a subnet's state with the outcomes of a mechanism.
func (c *Client) metagraph(ctx context.Context, netuid yuma.Netuid, mechanism uint16) (*Metagraph, error) {
	what := fmt.Sprintf("metagraph of subnet %d", netuid)
	resp, err := subnetv1.NewQueryClient(c.conn).Metagraph(ctx, &subnetv1.QueryMetagraphRequest{Netuid: uint32(netuid), Mechanism: uint32(mechanism)})
	if err != nil {
		return nil, failed(what, err)
	}
	m, err := metagraph(resp, mechanism)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	return m, nil
}

// metagraph reads a node's answer about a mechanism.
func metagraph(resp *subnetv1.QueryMetagraphResponse, mechanism uint16) (*Metagraph, error) {
	if len(resp.Neurons) > yuma.MaxNeurons {
		return nil, fmt.Errorf("the node tells of %d neurons, more than %d", len(resp.Neurons), yuma.MaxNeurons)
	}
	s, h := &resp.Subnet, &resp.Subnet.Hyperparameters
	m := &Metagraph{
		Height:           height(resp.Height),
		Netuid:           yuma.Netuid(u16(s.Netuid)),
		Kind:             s.Kind,
		Name:             s.Name,
		Owner:            s.Owner,
		KindParams:       s.KindParams,
		Tempo:            yuma.Height(h.Tempo),
		EpochNumber:      s.Epoch,
		LastEpoch:        height(s.LastEpoch),
		NextEpoch:        height(s.NextEpoch),
		WeightsRateLimit: yuma.Height(h.WeightsRateLimit),
		WeightsVersion:   h.WeightsVersion,
		MinWeights:       int(h.MinAllowedWeights),
		CommitReveal:     h.CommitReveal,
		RevealEpochs:     int(h.RevealEpochs),
		Neurons:          make([]Neuron, len(resp.Neurons)),
	}
	for i := range resp.Neurons {
		m.Neurons[i] = neuron(&resp.Neurons[i], mechanism)
		if int(m.Neurons[i].UID) != i {
			return nil, fmt.Errorf("the node's neuron %d has uid %d", i, m.Neurons[i].UID)
		}
	}
	return m, nil
}

// neuron reads one neuron of a node's answer about a mechanism.
func neuron(s *subnetv1.NeuronState, mechanism uint16) Neuron {
	updated := s.Neuron.LastUpdate
	if mechanism > 0 {
		updated = 0
		if later := s.Neuron.LastUpdates; int(mechanism) <= len(later) {
			updated = later[mechanism-1]
		}
	}
	return Neuron{
		UID:               yuma.UID(u16(s.Neuron.Uid)),
		Account:           s.Neuron.Account,
		PeerID:            s.Neuron.Axon.PeerId,
		Registered:        height(s.Neuron.RegisteredAt),
		LastUpdate:        height(updated),
		Stake:             coin.Amount(s.Stake),
		Active:            s.Active,
		Permit:            s.Permit,
		Rank:              u16(s.Rank),
		Trust:             u16(s.Trust),
		Consensus:         u16(s.Consensus),
		Incentive:         u16(s.Incentive),
		Dividends:         u16(s.Dividends),
		ValidatorTrust:    u16(s.ValidatorTrust),
		ServerEmission:    coin.Amount(s.ServerEmission),
		ValidatorEmission: coin.Amount(s.ValidatorEmission),
		Claimable:         coin.Amount(s.Claimable),
	}
}

// Subnets returns the records of all subnets in order of netuid.
func (c *Client) Subnets(ctx context.Context) ([]subnetv1.Subnet, error) {
	var all []subnetv1.Subnet
	var next []byte
	for {
		resp, err := subnetv1.NewQueryClient(c.conn).Subnets(ctx, &subnetv1.QuerySubnetsRequest{
			Pagination: &query.PageRequest{Key: next, Limit: 100},
		})
		if err != nil {
			return nil, failed("subnets", err)
		}
		all = append(all, resp.Subnets...)
		if resp.Pagination == nil || len(resp.Pagination.NextKey) == 0 || len(all) > 1<<16 {
			return all, nil
		}
		next = resp.Pagination.NextKey
	}
}

// Subnet returns a subnet's record, or [ErrNotFound].
func (c *Client) Subnet(ctx context.Context, netuid yuma.Netuid) (subnetv1.Subnet, error) {
	resp, err := subnetv1.NewQueryClient(c.conn).Subnet(ctx, &subnetv1.QuerySubnetRequest{Netuid: uint32(netuid)})
	if err != nil {
		return subnetv1.Subnet{}, failed(fmt.Sprintf("subnet %d", netuid), err)
	}
	return resp.Subnet, nil
}

// Price quotes the registration of a neuron on a subnet, or of a new subnet
// for netuid 0.
func (c *Client) Price(ctx context.Context, netuid yuma.Netuid) (Quote, error) {
	resp, err := subnetv1.NewQueryClient(c.conn).Price(ctx, &subnetv1.QueryPriceRequest{Netuid: uint32(netuid)})
	if err != nil {
		return Quote{}, failed(fmt.Sprintf("price on subnet %d", netuid), err)
	}
	return Quote{
		Price:    amount(resp.Price.Amount),
		After:    amount(resp.After.Amount),
		Floor:    amount(resp.Floor.Amount),
		HalfLife: yuma.Blocks(resp.HalfLife),
	}, nil
}

// Claimable returns what an account earned as a miner or an owner and did not
// claim yet.
func (c *Client) Claimable(ctx context.Context, account string) (coin.Amount, error) {
	resp, err := subnetv1.NewQueryClient(c.conn).Claimable(ctx, &subnetv1.QueryClaimableRequest{Account: account})
	if err != nil {
		return 0, failed("claimable of "+account, err)
	}
	return amount(resp.Amount.Amount), nil
}

// Balance returns what an account holds and can spend; 0 for one that the
// chain never saw.
func (c *Client) Balance(ctx context.Context, account string) (coin.Amount, error) {
	resp, err := banktypes.NewQueryClient(c.conn).Balance(ctx, &banktypes.QueryBalanceRequest{Address: account, Denom: coin.Denom})
	if err != nil {
		return 0, failed("balance of "+account, err)
	}
	if resp.Balance == nil {
		return 0, nil
	}
	return amount(resp.Balance.Amount), nil
}

// Schedule returns where the token's schedule stands.
func (c *Client) Schedule(ctx context.Context) (Schedule, error) {
	resp, err := emissionv1.NewQueryClient(c.conn).Schedule(ctx, &emissionv1.QueryScheduleRequest{})
	if err != nil {
		return Schedule{}, failed("schedule", err)
	}
	return Schedule{
		Minted:      coin.Amount(resp.State.Minted),
		Scheduled:   coin.Amount(resp.Scheduled),
		Cap:         coin.Amount(resp.Cap),
		Supply:      coin.Amount(resp.Supply),
		Unallocated: coin.Amount(resp.State.Unallocated),
		Bootstrap:   coin.Amount(resp.State.Bootstrap),
		Burned:      coin.Amount(resp.Burned),
		PerDay:      coin.Amount(resp.PerDay),
		Era:         int(resp.Era),
		NextHalving: resp.NextHalving,
	}, nil
}

// Weights returns the weights that validators set on a subnet, by uid of the
// validator.
func (c *Client) Weights(ctx context.Context, netuid yuma.Netuid) (map[yuma.UID]yuma.Row, error) {
	resp, err := subnetv1.NewQueryClient(c.conn).Weights(ctx, &subnetv1.QueryWeightsRequest{Netuid: uint32(netuid)})
	if err != nil {
		return nil, failed(fmt.Sprintf("weights of subnet %d", netuid), err)
	}
	return rows(resp.Rows)
}

// Bonds returns the bonds of validators on miners of a subnet, by uid of the
// validator.
func (c *Client) Bonds(ctx context.Context, netuid yuma.Netuid) (map[yuma.UID]yuma.Row, error) {
	resp, err := subnetv1.NewQueryClient(c.conn).Bonds(ctx, &subnetv1.QueryBondsRequest{Netuid: uint32(netuid)})
	if err != nil {
		return nil, failed(fmt.Sprintf("bonds of subnet %d", netuid), err)
	}
	return rows(resp.Rows)
}

// rows reads the rows of a node's answer.
func rows(views []subnetv1.RowView) (map[yuma.UID]yuma.Row, error) {
	all := make(map[yuma.UID]yuma.Row, len(views))
	for _, v := range views {
		if len(v.Uids) != len(v.Values) {
			return nil, fmt.Errorf("the node's row of uid %d has %d uids and %d values", v.Uid, len(v.Uids), len(v.Values))
		}
		row := make(yuma.Row, len(v.Uids))
		for i := range row {
			if v.Uids[i] > math.MaxUint16 || i > 0 && v.Uids[i] <= v.Uids[i-1] {
				return nil, fmt.Errorf("the node's row of uid %d has uid %d out of order or range", v.Uid, v.Uids[i])
			}
			row[i] = yuma.Entry{UID: yuma.UID(v.Uids[i]), Value: u16(v.Values[i])}
		}
		all[yuma.UID(u16(v.Uid))] = row
	}
	return all, nil
}

// Validators returns the chain's validators, bonded or not.
func (c *Client) Validators(ctx context.Context) ([]Validator, error) {
	var all []Validator
	var next []byte
	for {
		resp, err := stakingtypes.NewQueryClient(c.conn).Validators(ctx, &stakingtypes.QueryValidatorsRequest{
			Pagination: &query.PageRequest{Key: next, Limit: 100},
		})
		if err != nil {
			return nil, failed("validators", err)
		}
		for i := range resp.Validators {
			v, err := validator(&resp.Validators[i])
			if err != nil {
				return nil, fmt.Errorf("validators: %w", err)
			}
			all = append(all, v)
		}
		if resp.Pagination == nil || len(resp.Pagination.NextKey) == 0 || len(all) > 1<<16 {
			return all, nil
		}
		next = resp.Pagination.NextKey
	}
}

// validator reads one validator of a node's answer.
func validator(v *stakingtypes.Validator) (Validator, error) {
	account, err := operatorAccount(v.OperatorAddress)
	if err != nil {
		return Validator{}, err
	}
	out := Validator{
		Operator: v.OperatorAddress,
		Account:  account,
		Moniker:  v.Description.Moniker,
		Bonded:   v.Status == stakingtypes.Bonded,
		Jailed:   v.Jailed,
	}
	if out.Bonded && !out.Jailed {
		out.Stake = amount(v.Tokens)
	}
	return out, nil
}

// amount reads a sum of nplx. What is not one, or exceeds the range, counts as
// the nearest that is: the chain holds no such sum.
func amount(i sdkmath.Int) coin.Amount {
	switch {
	case i.IsNil() || i.IsNegative():
		return 0
	case !i.IsUint64():
		return ^coin.Amount(0)
	default:
		return coin.Amount(i.Uint64())
	}
}

// u16 reads a number that the wire has in 32 bits; the chain holds no greater
// one than fits.
func u16(v uint32) uint16 { return uint16(min(v, math.MaxUint16)) }

// height reads a height, which the wire has signed.
func height(h int64) yuma.Height { return yuma.Height(max(h, 0)) }

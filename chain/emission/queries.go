package emission

import (
	"context"
	"time"

	sdk "github.com/cosmos/cosmos-sdk/types"

	emissionv1 "github.com/plexus-network/plexus/api/plexus/emission/v1"
	"github.com/plexus-network/plexus/coin"
)

// queries serves the module's queries.
type queries struct{ *Keeper }

// Params returns the parameters.
func (q queries) Params(ctx context.Context, _ *emissionv1.QueryParamsRequest) (*emissionv1.QueryParamsResponse, error) {
	p, err := q.params.Get(ctx)
	return &emissionv1.QueryParamsResponse{Params: p}, err
}

// Schedule returns where the token's schedule stands.
func (q queries) Schedule(ctx context.Context, _ *emissionv1.QueryScheduleRequest) (*emissionv1.QueryScheduleResponse, error) {
	s, err := q.state.Get(ctx)
	if err != nil {
		return nil, err
	}
	now := clock(&s)
	era := now / coin.Era * coin.Era
	return &emissionv1.QueryScheduleResponse{
		State:       s,
		Scheduled:   uint64(coin.Scheduled(now)),
		Cap:         uint64(coin.Cap),
		Supply:      q.bank.GetSupply(ctx, coin.Denom).Amount.Uint64() - s.Bootstrap,
		Burned:      s.Burned - s.BootstrapBurned,
		Era:         uint32(now / coin.Era),
		PerDay:      uint64(coin.Scheduled(era+24*time.Hour) - coin.Scheduled(era)),
		NextHalving: sdk.UnwrapSDKContext(ctx).BlockTime().Add(coin.NextHalving(now)),
	}, nil
}

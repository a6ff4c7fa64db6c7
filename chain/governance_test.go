package chain

import (
	"strings"
	"testing"
	"time"

	sdk "github.com/cosmos/cosmos-sdk/types"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"
	consensustypes "github.com/cosmos/cosmos-sdk/x/consensus/types"
	distrtypes "github.com/cosmos/cosmos-sdk/x/distribution/types"
	govv1 "github.com/cosmos/cosmos-sdk/x/gov/types/v1"
	slashingtypes "github.com/cosmos/cosmos-sdk/x/slashing/types"
	stakingtypes "github.com/cosmos/cosmos-sdk/x/staking/types"

	emissionv1 "github.com/plexus-network/plexus/api/plexus/emission/v1"
	marketv1 "github.com/plexus-network/plexus/api/plexus/market/v1"
	subnetv1 "github.com/plexus-network/plexus/api/plexus/subnet/v1"
	"github.com/plexus-network/plexus/chain/emission"
	"github.com/plexus-network/plexus/chain/market"
	"github.com/plexus-network/plexus/chain/subnet"
)

// TestGovernanceChangesEveryParameter votes on a change of each module's
// parameters and finds them changed.
func TestGovernanceChangesEveryParameter(t *testing.T) {
	b := newBench(t, 3, []string{"m0"}, []string{"rich"}, nil)
	gov := governance().String()
	ours := subnet.DefaultParams()
	ours.MaxSubnets, ours.EpochsPerBlock = 7, 1
	clock := emission.DefaultParams()
	clock.BootstrapTempo = 33
	trade := market.DefaultParams()
	trade.MaxBids = 3
	b.decide(
		&marketv1.MsgUpdateParams{Authority: gov, Params: trade},
		&subnetv1.MsgUpdateParams{Authority: gov, Params: ours},
		&emissionv1.MsgUpdateParams{Authority: gov, Params: clock},
		&subnetv1.MsgUpdateSubnet{Authority: gov, Netuid: 0, Hyperparameters: `{"tempo": 50}`},
	)
	var got subnetv1.QueryParamsResponse
	b.query("/plexus.subnet.v1.Query/Params", &subnetv1.QueryParamsRequest{}, &got)
	if got.Params != ours {
		t.Errorf("parameters of subnets %v, want %v", got.Params, ours)
	}
	var minted emissionv1.QueryParamsResponse
	b.query("/plexus.emission.v1.Query/Params", &emissionv1.QueryParamsRequest{}, &minted)
	if minted.Params != clock {
		t.Errorf("parameters of emission %v, want %v", minted.Params, clock)
	}
	var traded marketv1.QueryParamsResponse
	b.query("/plexus.market.v1.Query/Params", &marketv1.QueryParamsRequest{}, &traded)
	if traded.Params.String() != trade.String() {
		t.Errorf("parameters of the market %v, want %v", traded.Params, trade)
	}
	if root := b.metagraph(0); root.Subnet.Hyperparameters.Tempo != 50 {
		t.Errorf("tempo of the root %d, want 50", root.Subnet.Hyperparameters.Tempo)
	}

	// The SDK's modules.
	ctx := b.ctx()
	stake, err := b.app.Staking.GetParams(ctx)
	if err != nil {
		t.Fatal(err)
	}
	stake.MaxValidators = 77
	slash, err := b.app.slashing.GetParams(ctx)
	if err != nil {
		t.Fatal(err)
	}
	slash.SignedBlocksWindow = 5000
	share, err := b.app.Distribution.Params.Get(ctx)
	if err != nil {
		t.Fatal(err)
	}
	share.WithdrawAddrEnabled = !share.WithdrawAddrEnabled
	vote, err := b.app.gov.Params.Get(ctx)
	if err != nil {
		t.Fatal(err)
	}
	hour := time.Hour
	vote.ExpeditedVotingPeriod = &hour
	accounts := b.app.Accounts.GetParams(ctx)
	accounts.MaxMemoCharacters = 100
	bank := b.app.Bank.GetParams(ctx)
	bank.DefaultSendEnabled = false
	limits := consensusParams(21 * 24 * time.Hour).ToProto()
	limits.Block.MaxGas = 100_000_000
	b.decide(
		&stakingtypes.MsgUpdateParams{Authority: gov, Params: stake},
		&slashingtypes.MsgUpdateParams{Authority: gov, Params: slash},
		&distrtypes.MsgUpdateParams{Authority: gov, Params: share},
		&govv1.MsgUpdateParams{Authority: gov, Params: vote},
		&authtypes.MsgUpdateParams{Authority: gov, Params: accounts},
		&banktypes.MsgUpdateParams{Authority: gov, Params: bank},
		&consensustypes.MsgUpdateParams{Authority: gov, Block: limits.Block, Evidence: limits.Evidence, Validator: limits.Validator, Abci: limits.Abci},
	)
	ctx = b.ctx()
	if p, err := b.app.Staking.GetParams(ctx); err != nil || p.MaxValidators != 77 {
		t.Errorf("staking: %v, %v", p, err)
	}
	if p, err := b.app.slashing.GetParams(ctx); err != nil || p.SignedBlocksWindow != 5000 {
		t.Errorf("slashing: %v, %v", p, err)
	}
	if p, err := b.app.Distribution.Params.Get(ctx); err != nil || p.WithdrawAddrEnabled != share.WithdrawAddrEnabled {
		t.Errorf("distribution: %v, %v", p, err)
	}
	if p, err := b.app.gov.Params.Get(ctx); err != nil || *p.ExpeditedVotingPeriod != hour {
		t.Errorf("gov: %v, %v", p, err)
	}
	if p := b.app.Accounts.GetParams(ctx); p.MaxMemoCharacters != 100 {
		t.Errorf("auth: %v", p)
	}
	if p := b.app.Bank.GetParams(ctx); p.DefaultSendEnabled {
		t.Errorf("bank: %v", p)
	}
	if p := b.app.GetConsensusParams(ctx); p.Block.MaxGas != 100_000_000 {
		t.Errorf("consensus: %v", p)
	}
	b.until(b.app.LastBlockHeight() + 12) // and the chain goes on with all of it
}

// TestOnlyGovernanceChangesParameters: nobody else may, however rich.
func TestOnlyGovernanceChangesParameters(t *testing.T) {
	b := newBench(t, 1, nil, []string{"rich"}, nil)
	rich := b.person("rich")
	for _, msg := range []sdk.Msg{
		&subnetv1.MsgUpdateParams{Authority: rich.String(), Params: subnet.DefaultParams()},
		&emissionv1.MsgUpdateParams{Authority: rich.String(), Params: emission.DefaultParams()},
		&marketv1.MsgUpdateParams{Authority: rich.String(), Params: market.DefaultParams()},
		&stakingtypes.MsgUpdateParams{Authority: rich.String(), Params: stakingtypes.DefaultParams()},
	} {
		if log := b.do(rich, msg); !strings.Contains(log, "authority") && !strings.Contains(log, "only "+governance().String()) {
			t.Errorf("%T by an account: %q, want a refusal", msg, log)
		}
	}
}

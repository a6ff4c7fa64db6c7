package sim

import (
	"fmt"
	"slices"
	"time"

	"cosmossdk.io/math"

	cosmosed25519 "github.com/cosmos/cosmos-sdk/crypto/keys/ed25519"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/x/authz"
	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"
	distrtypes "github.com/cosmos/cosmos-sdk/x/distribution/types"
	"github.com/cosmos/cosmos-sdk/x/feegrant"
	govv1 "github.com/cosmos/cosmos-sdk/x/gov/types/v1"
	slashingtypes "github.com/cosmos/cosmos-sdk/x/slashing/types"
	stakingtypes "github.com/cosmos/cosmos-sdk/x/staking/types"

	emissionv1 "github.com/plexus-network/plexus/api/plexus/emission/v1"
	subnetv1 "github.com/plexus-network/plexus/api/plexus/subnet/v1"
	"github.com/plexus-network/plexus/coin"
)

// theirs are the whims of the SDK's modules.
var theirs = []whim{
	send, send, multiSend, delegate, delegate, delegate, undelegate, undelegate, redelegate,
	cancelUnbonding, cancelUnbonding, cancelUnbonding,
	createValidator, editValidator, changeKey, unjail, unjail, unjail,
	withdraw, withdraw, withdrawCommission, redirect, donate, sponsor,
	grant, exec, exec, revoke, allow, disallow,
	propose, deposit, vote, vote, vote, vote, voteWeighted, cancelProposal,
}

func send(s *Storm) (*Person, sdk.Msg) {
	p := pick(s, s.people)
	return p, banktypes.NewMsgSend(p.Account(), s.someone(), sdk.NewCoins(nplx(s.amount(50*coin.PLX))))
}

func multiSend(s *Storm) (*Person, sdk.Msg) {
	p, first, second := pick(s, s.people), s.amount(20*coin.PLX), s.amount(20*coin.PLX)
	return p, banktypes.NewMsgMultiSend(banktypes.NewInput(p.Account(), sdk.NewCoins(nplx(first+second))), []banktypes.Output{
		banktypes.NewOutput(s.someone(), sdk.NewCoins(nplx(first))), banktypes.NewOutput(s.someone(), sdk.NewCoins(nplx(second))),
	})
}

// operator returns the address of a validator, which may not exist.
func (s *Storm) operator() string { return pick(s, s.operators).Operator().String() }

func delegate(s *Storm) (*Person, sdk.Msg) {
	p := pick(s, s.people)
	return p, stakingtypes.NewMsgDelegate(p.Address(), s.operator(), nplx(s.amount(400*coin.PLX)))
}

// holding returns a validator that p delegated to, and up to all of what is
// there.
func (s *Storm) holding(p *Person) (string, sdk.Coin, bool) {
	ctx, err := s.State()
	if err != nil {
		return "", sdk.Coin{}, false
	}
	all, err := s.App.Staking.GetDelegatorDelegations(ctx, p.Account(), 20)
	if err != nil || len(all) == 0 {
		return "", sdk.Coin{}, false
	}
	d := pick(s, all)
	shares := d.Shares.TruncateInt()
	if !shares.IsPositive() || !shares.IsUint64() {
		return "", sdk.Coin{}, false
	}
	amount := coin.Amount(shares.Uint64())
	if s.one(2) {
		amount = s.amount(amount)
	}
	return d.ValidatorAddress, nplx(amount), true
}

func undelegate(s *Storm) (*Person, sdk.Msg) {
	p := pick(s, s.people)
	if from, amount, ok := s.holding(p); ok {
		return p, stakingtypes.NewMsgUndelegate(p.Address(), from, amount)
	}
	return p, nil
}

func redelegate(s *Storm) (*Person, sdk.Msg) {
	p := pick(s, s.people)
	if from, amount, ok := s.holding(p); ok {
		return p, stakingtypes.NewMsgBeginRedelegate(p.Address(), from, s.operator(), amount)
	}
	return p, nil
}

func cancelUnbonding(s *Storm) (*Person, sdk.Msg) {
	ctx, err := s.State()
	if err != nil {
		return nil, nil
	}
	for range 3 {
		p := pick(s, s.people)
		all, err := s.App.Staking.GetUnbondingDelegations(ctx, p.Account(), 5)
		if err != nil || len(all) == 0 {
			continue
		}
		e := pick(s, all[0].Entries)
		return p, stakingtypes.NewMsgCancelUnbondingDelegation(p.Address(), all[0].ValidatorAddress, e.CreationHeight, sdk.NewCoin(coin.Denom, e.Balance))
	}
	return nil, nil
}

func createValidator(s *Storm) (*Person, sdk.Msg) {
	p := pick(s, s.operators[founders:])
	m, err := stakingtypes.NewMsgCreateValidator(p.Operator().String(), &cosmosed25519.PubKey{Key: p.Consensus(0)}, nplx(900*coin.PLX),
		stakingtypes.NewDescription(p.Name(), "", "", "", ""),
		stakingtypes.NewCommissionRates(math.LegacyNewDecWithPrec(5, 2), math.LegacyOneDec(), math.LegacyNewDecWithPrec(5, 2)), math.OneInt())
	if err != nil {
		return p, nil
	}
	return p, m
}

func editValidator(s *Storm) (*Person, sdk.Msg) {
	p, take := pick(s, s.operators), math.LegacyNewDecWithPrec(5+s.rng.Int64N(10), 2)
	return p, stakingtypes.NewMsgEditValidator(p.Operator().String(), stakingtypes.NewDescription(p.Name(), "", "", "", ""), &take, nil)
}

// changeKey makes an operator sign blocks with another key.
func changeKey(s *Storm) (*Person, sdk.Msg) {
	p := pick(s, s.operators)
	m, err := stakingtypes.NewMsgRotateConsPubKey(p.Operator().String(), &cosmosed25519.PubKey{Key: p.Consensus(1 + s.rng.IntN(consensusKeys-1))})
	if err != nil {
		return p, nil
	}
	return p, m
}

func unjail(s *Storm) (*Person, sdk.Msg) {
	for _, p := range s.operators {
		if s.bonded(p).IsZero() && s.one(2) {
			return p, slashingtypes.NewMsgUnjail(p.Operator().String())
		}
	}
	return nil, nil
}

func withdraw(s *Storm) (*Person, sdk.Msg) {
	p := pick(s, s.people)
	if from, _, ok := s.holding(p); ok {
		return p, distrtypes.NewMsgWithdrawDelegatorReward(p.Address(), from)
	}
	return p, nil
}

func withdrawCommission(s *Storm) (*Person, sdk.Msg) {
	p := pick(s, s.operators)
	return p, distrtypes.NewMsgWithdrawValidatorCommission(p.Operator().String())
}

func redirect(s *Storm) (*Person, sdk.Msg) {
	p := pick(s, s.people)
	return p, distrtypes.NewMsgSetWithdrawAddress(p.Account(), s.someone())
}

func donate(s *Storm) (*Person, sdk.Msg) {
	p := pick(s, s.people)
	return p, distrtypes.NewMsgFundCommunityPool(sdk.NewCoins(nplx(s.amount(coin.PLX))), p.Address())
}

func sponsor(s *Storm) (*Person, sdk.Msg) {
	p := pick(s, s.people)
	return p, distrtypes.NewMsgDepositValidatorRewardsPool(p.Address(), s.operator(), sdk.NewCoins(nplx(s.amount(coin.PLX))))
}

// A favour is a grant that was asked for: of a message, or of fees.
type favour struct {
	by, to *Person
	url    string // of the message; empty for fees
}

// granted are the messages that people let others sign for them.
var granted = []sdk.Msg{&banktypes.MsgSend{}, &subnetv1.MsgSetWeights{}, &subnetv1.MsgClaim{}, &stakingtypes.MsgDelegate{}}

func grant(s *Storm) (*Person, sdk.Msg) {
	p, to := pick(s, s.rich), pick(s, s.rich)
	if p == to {
		return p, nil
	}
	var until *time.Time
	if s.one(2) {
		t := s.Time.Add(72 * time.Hour)
		until = &t
	}
	f := favour{p, to, sdk.MsgTypeURL(pick(s, granted))}
	m, err := authz.NewMsgGrant(p.Account(), to.Account(), authz.NewGenericAuthorization(f.url), until)
	if err != nil {
		return p, nil
	}
	s.favours = append(s.favours, f)
	return p, m
}

// favour returns one of the favours: of fees, or not.
func (s *Storm) favour(fees bool) favour {
	if all := slices.DeleteFunc(slices.Clone(s.favours), func(f favour) bool { return (f.url == "") != fees }); len(all) > 0 {
		return pick(s, all)
	}
	return favour{pick(s, s.rich), pick(s, s.rich), sdk.MsgTypeURL(granted[0])}
}

// exec lets one of the rich act for another, who may not have allowed it, or
// not any more.
func exec(s *Storm) (*Person, sdk.Msg) {
	f := s.favour(false)
	if s.one(5) {
		f.to = pick(s, s.rich)
	}
	var inner sdk.Msg
	switch f.url {
	case sdk.MsgTypeURL(&banktypes.MsgSend{}):
		inner = banktypes.NewMsgSend(f.by.Account(), s.someone(), sdk.NewCoins(nplx(s.amount(coin.PLX))))
	case sdk.MsgTypeURL(&subnetv1.MsgSetWeights{}):
		at := s.seat(f.by)
		m := &subnetv1.MsgSetWeights{Account: f.by.Address(), Netuid: at.Netuid}
		m.Uids, m.Weights = s.opinion(at)
		inner = m
	case sdk.MsgTypeURL(&subnetv1.MsgClaim{}):
		inner = &subnetv1.MsgClaim{Account: f.by.Address()}
	default:
		inner = stakingtypes.NewMsgDelegate(f.by.Address(), s.operator(), nplx(s.amount(coin.PLX)))
	}
	m := authz.NewMsgExec(f.to.Account(), []sdk.Msg{inner})
	return f.to, &m
}

func revoke(s *Storm) (*Person, sdk.Msg) {
	f := s.favour(false)
	m := authz.NewMsgRevoke(f.by.Account(), f.to.Account(), f.url)
	return f.by, &m
}

func allow(s *Storm) (*Person, sdk.Msg) {
	p, to := pick(s, s.rich), pick(s, s.rich)
	if p == to {
		return p, nil
	}
	s.favours = append(s.favours, favour{by: p, to: to})
	m, err := feegrant.NewMsgGrantAllowance(&feegrant.BasicAllowance{SpendLimit: sdk.NewCoins(nplx(coin.PLX))}, p.Account(), to.Account())
	if err != nil {
		return p, nil
	}
	return p, m
}

func disallow(s *Storm) (*Person, sdk.Msg) {
	f := s.favour(true)
	m := feegrant.NewMsgRevokeAllowance(f.by.Account(), f.to.Account())
	return f.by, &m
}

// propose makes a proposal of one of the messages that only governance may do.
func propose(s *Storm) (*Person, sdk.Msg) {
	p, at := pick(s, s.rich), s.at()
	params := stormParams()
	params.EpochsPerBlock, params.MaxSubnets = 1+s.rng.Uint32N(3), 4+s.rng.Uint32N(4)
	params.ChildrenDelay, params.SubnetImmunity = s.rng.Uint64N(20), s.rng.Uint64N(80)
	inner := pick(s, []sdk.Msg{
		&subnetv1.MsgUpdateParams{Authority: governance(), Params: params},
		&subnetv1.MsgDissolveSubnet{Authority: governance(), Netuid: at.Netuid},
		&subnetv1.MsgUpdateSubnet{Authority: governance(), Netuid: at.Netuid, Name: "renamed"},
		&emissionv1.MsgUpdateParams{Authority: governance(), Params: emissionv1.Params{BootstrapRelease: s.rng.Uint32N(2000), BootstrapTempo: 5 + s.rng.Uint64N(50)}},
		&distrtypes.MsgCommunityPoolSpend{Authority: governance(), Recipient: s.someone().String(), Amount: sdk.NewCoins(nplx(s.amount(coin.PLX)))},
		banktypes.NewMsgSend(sdk.MustAccAddressFromBech32(governance()), s.someone(), sdk.NewCoins(nplx(1))),
	})
	paid := s.amount(300 * coin.PLX) // 100 are needed
	m, err := govv1.NewMsgSubmitProposal([]sdk.Msg{inner}, sdk.NewCoins(nplx(paid)), p.Address(), "", "a change", fmt.Sprintf("%T", inner), false)
	if err != nil {
		return p, nil
	}
	return p, m
}

// proposal returns one of those that are voted on, mostly the oldest, so that
// some have a quorum; or else the latest.
func (s *Storm) proposal() govv1.Proposal {
	r := &govv1.QueryProposalsResponse{}
	if err := s.Query("/cosmos.gov.v1.Query/Proposals", &govv1.QueryProposalsRequest{ProposalStatus: govv1.StatusVotingPeriod}, r); err == nil && len(r.Proposals) > 0 && !s.one(8) {
		if s.one(4) {
			return *pick(s, r.Proposals)
		}
		return *r.Proposals[0]
	}
	return govv1.Proposal{Id: max(1, s.proposed), Proposer: pick(s, s.rich).Address()}
}

func deposit(s *Storm) (*Person, sdk.Msg) {
	p := pick(s, s.rich)
	return p, govv1.NewMsgDeposit(p.Account(), s.proposal().Id, sdk.NewCoins(nplx(s.amount(100*coin.PLX))))
}

func vote(s *Storm) (*Person, sdk.Msg) {
	p := pick(s, s.operators)
	option := govv1.OptionYes
	if s.one(6) {
		option = pick(s, []govv1.VoteOption{govv1.OptionNo, govv1.OptionAbstain, govv1.OptionNoWithVeto})
	}
	return p, govv1.NewMsgVote(p.Account(), s.proposal().Id, option, "")
}

func voteWeighted(s *Storm) (*Person, sdk.Msg) {
	p := pick(s, s.people)
	return p, govv1.NewMsgVoteWeighted(p.Account(), s.proposal().Id, govv1.WeightedVoteOptions{
		{Option: govv1.OptionYes, Weight: "0.7"}, {Option: govv1.OptionNo, Weight: "0.3"},
	}, "")
}

func cancelProposal(s *Storm) (*Person, sdk.Msg) {
	of := s.proposal()
	p := s.who(of.Proposer)
	return p, govv1.NewMsgCancelProposal(of.Id, p.Address())
}

// deposits returns what lies on all proposals.
func (c *Chain) deposits() (math.Int, error) {
	sum := math.ZeroInt()
	var all govv1.QueryProposalsResponse
	if err := c.Query("/cosmos.gov.v1.Query/Proposals", &govv1.QueryProposalsRequest{}, &all); err != nil {
		return sum, err
	}
	for _, p := range all.Proposals {
		if p.Status == govv1.StatusDepositPeriod || p.Status == govv1.StatusVotingPeriod {
			sum = sum.Add(sdk.NewCoins(p.TotalDeposit...).AmountOf(coin.Denom))
		}
	}
	return sum, nil
}

package chain

import (
	"cosmossdk.io/math"

	"github.com/cosmos/cosmos-sdk/baseapp"
	storetypes "github.com/cosmos/cosmos-sdk/store/v2/types"
	sdk "github.com/cosmos/cosmos-sdk/types"
	sdkerrors "github.com/cosmos/cosmos-sdk/types/errors"
	"github.com/cosmos/cosmos-sdk/x/feegrant"

	"github.com/plexus-network/plexus/coin"
)

// deposits routes messages that x/gov and x/authz carry out, and refuses those
// that spend deposits on proposals. The SDK keeps these in governance's own
// account, where any message that governance decides, or grants to others, can
// spend them; and when a deposit is due to be given back and is not there, the
// chain makes no block any more.
type deposits struct {
	baseapp.MessageRouter
	app *App
}

// Handler returns what carries out msg.
func (d deposits) Handler(msg sdk.Msg) baseapp.MsgServiceHandler {
	return d.guard(d.MessageRouter.Handler(msg))
}

// HandlerByTypeURL returns what carries out messages of a type.
func (d deposits) HandlerByTypeURL(url string) baseapp.MsgServiceHandler {
	return d.guard(d.MessageRouter.HandlerByTypeURL(url))
}

// guard makes carry fail if it leaves governance with less than the deposits
// and less than before.
func (d deposits) guard(carry baseapp.MsgServiceHandler) baseapp.MsgServiceHandler {
	if carry == nil {
		return nil
	}
	return func(ctx sdk.Context, msg sdk.Msg) (*sdk.Result, error) {
		if m, ok := msg.(*feegrant.MsgGrantAllowance); ok && m.Granter == governance().String() {
			return nil, sdkerrors.ErrUnauthorized.Wrap("governance pays no fees of others: what it has are deposits on proposals")
		}
		free := ctx.WithGasMeter(storetypes.NewInfiniteGasMeter()) // these looks cost the sender nothing
		before := d.held(free)
		done, err := carry(ctx, msg)
		if err != nil {
			return done, err
		}
		after := d.held(free)
		if after.GTE(before) {
			return done, nil
		}
		owed, err := d.owed(free)
		if err != nil {
			return nil, err
		}
		if after.LT(owed) {
			return nil, sdkerrors.ErrInsufficientFunds.Wrapf(
				"governance would be left with %snplx, but %snplx lie there as deposits on proposals: send it what is missing first", after, owed)
		}
		return done, nil
	}
}

// held returns what governance's account holds.
func (d deposits) held(ctx sdk.Context) math.Int {
	return d.app.Bank.GetBalance(ctx, governance(), coin.Denom).Amount
}

// owed returns the deposits on all proposals.
func (d deposits) owed(ctx sdk.Context) (math.Int, error) {
	sum := math.ZeroInt()
	it, err := d.app.gov.Deposits.Iterate(ctx, nil)
	if err != nil {
		return sum, err
	}
	all, err := it.Values()
	for _, one := range all {
		sum = sum.Add(sdk.NewCoins(one.Amount...).AmountOf(coin.Denom))
	}
	return sum, err
}

package chain

import (
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/x/auth/ante"
	authkeeper "github.com/cosmos/cosmos-sdk/x/auth/keeper"

	subnetv1 "github.com/plexus-network/plexus/api/plexus/subnet/v1"
)

// newcomers lets an account that the chain does not know register by work: a
// transaction of that message alone, without a fee, makes the account. The
// work, which fees has looked at before, is what that costs, and the subnet's
// quota bounds how many there are in a block.
type newcomers struct{ accounts authkeeper.AccountKeeper }

// newcomer marks the context of a transaction whose account it makes.
type newcomer struct{}

// AnteHandle makes the account of a newcomer.
func (n newcomers) AnteHandle(ctx sdk.Context, tx sdk.Tx, simulate bool, next sdk.AnteHandler) (sdk.Context, error) {
	msgs := tx.GetMsgs()
	fee, ok := tx.(sdk.FeeTx)
	if len(msgs) != 1 || !ok || !fee.GetFee().IsZero() {
		return next(ctx, tx, simulate)
	}
	work, ok := msgs[0].(*subnetv1.MsgRegisterByWork)
	if !ok {
		return next(ctx, tx, simulate)
	}
	account, err := n.accounts.AddressCodec().StringToBytes(work.Account)
	if err != nil {
		return ctx, err
	}
	if n.accounts.HasAccount(ctx, account) {
		return next(ctx, tx, simulate)
	}
	n.accounts.SetAccount(ctx, n.accounts.NewAccountWithAddress(ctx, account))
	return next(ctx.WithValue(newcomer{}, true), tx, simulate)
}

// signatures verifies signatures, those of newcomers for account number 0: they
// cannot know the number that the chain will give them.
type signatures struct{ verify ante.SigVerificationDecorator }

// AnteHandle verifies the signatures of tx. At height 0 the SDK takes every
// account's number for 0, as in the transactions of a genesis.
func (s signatures) AnteHandle(ctx sdk.Context, tx sdk.Tx, simulate bool, next sdk.AnteHandler) (sdk.Context, error) {
	if ctx.Value(newcomer{}) == nil {
		return s.verify.AnteHandle(ctx, tx, simulate, next)
	}
	height := ctx.BlockHeight()
	return s.verify.AnteHandle(ctx.WithBlockHeight(0), tx, simulate, func(ctx sdk.Context, tx sdk.Tx, simulate bool) (sdk.Context, error) {
		return next(ctx.WithBlockHeight(height), tx, simulate)
	})
}

package chain

import (
	sdk "github.com/cosmos/cosmos-sdk/types"
)

// An offering transaction is one without a fee, seen as if it offered one.
type offering struct{ sdk.FeeTx }

// GetFee returns the least fee there is.
func (offering) GetFee() sdk.Coins { return sdk.NewCoins(nplx(1)) }

// estimate simulates a transaction that is not free. Wallets simulate without a
// fee, and would reckon without the gas that paying one takes; on our cheaper
// messages that is more than the 30 to 40 % which they add.
//
// An account that has nothing to pay with is simulated as it is.
func (f fees) estimate(ctx sdk.Context, t sdk.FeeTx, next sdk.AnteHandler) (sdk.Context, error) {
	paid := false
	newCtx, err := f.pay.AnteHandle(ctx, offering{t}, true, func(ctx sdk.Context, _ sdk.Tx, _ bool) (sdk.Context, error) {
		paid = true
		return next(ctx, t, true)
	})
	if paid || err == nil {
		return newCtx, err
	}
	return f.pay.AnteHandle(ctx, t, true, next)
}

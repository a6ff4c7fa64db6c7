package chain

import (
	"context"
	"time"

	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"
	sdkerrors "github.com/cosmos/cosmos-sdk/types/errors"
	"github.com/cosmos/cosmos-sdk/x/auth/ante"
	"github.com/cosmos/cosmos-sdk/x/authz"
	distrtypes "github.com/cosmos/cosmos-sdk/x/distribution/types"

	"github.com/plexus-network/plexus/coin"
)

// Bounds of a transaction. A free one may not take more than a small part of a
// block.
const (
	maxMessages     = 64
	maxFreeMessages = 8
	maxFreeGas      = 5_000_000
)

// minFreeWithdrawal is the least commission that an operator withdraws without
// a fee. Genesis validators start without a coin to pay one.
const minFreeWithdrawal = coin.PLX / 100

// newAnteHandler returns what every transaction passes before its messages: the
// SDK's checks of fees and signatures, with our bounds and exemptions.
func newAnteHandler(a *App) (sdk.AnteHandler, error) {
	pay := ante.NewDeductFeeDecorator(a.Accounts, a.Bank, a.feegrant, nil)
	return sdk.ChainAnteDecorators(
		ante.NewSetUpContextDecorator(),
		bounds{},
		ante.NewExtensionOptionsDecorator(nil),
		ante.NewValidateBasicDecorator(),
		ante.NewTxTimeoutHeightDecorator(),
		ante.NewValidateMemoDecorator(a.Accounts),
		ante.NewConsumeGasForTxSizeDecorator(a.Accounts),
		fees{pay: pay, rides: a.Subnets, grants: a.authz, commissions: a.Distribution},
		newcomers{a.Accounts},
		ante.NewSetPubKeyDecorator(a.Accounts),
		ante.NewValidateSigCountDecorator(a.Accounts),
		ante.NewSigGasConsumeDecorator(a.Accounts, ante.DefaultSigVerificationGasConsumer),
		signatures{ante.NewSigVerificationDecorator(a.Accounts, a.Encoding.TxConfig.SignModeHandler())},
		ante.NewIncrementSequenceDecorator(a.Accounts),
	), nil
}

// bounds refuses transactions that are too large, before they cost us.
type bounds struct{}

// AnteHandle checks the size of tx.
func (bounds) AnteHandle(ctx sdk.Context, tx sdk.Tx, simulate bool, next sdk.AnteHandler) (sdk.Context, error) {
	if n := len(ctx.TxBytes()); n > maxTxBytes {
		return ctx, sdkerrors.ErrTxTooLarge.Wrapf("%d bytes; at most %d", n, maxTxBytes)
	}
	if n := len(tx.GetMsgs()); n > maxMessages {
		return ctx, sdkerrors.ErrTxTooLarge.Wrapf("%d messages; at most %d", n, maxMessages)
	}
	return next(ctx, tx, simulate)
}

// riders knows which messages are free now, and notes that they were used.
type riders interface {
	Ride(ctx context.Context, msg sdk.Msg) error
	RideAlong(ctx context.Context, account sdk.AccAddress) error
}

// granted knows who may act for whom.
type granted interface {
	GetAuthorization(ctx context.Context, grantee, granter sdk.AccAddress, msgType string) (authz.Authorization, *time.Time)
}

// commissions knows what a validator can withdraw.
type commissions interface {
	GetValidatorAccumulatedCommission(ctx context.Context, val sdk.ValAddress) (distrtypes.ValidatorAccumulatedCommission, error)
}

// fees takes the fee of a transaction, unless it offers none and all of its
// messages are free.
type fees struct {
	pay         ante.DeductFeeDecorator
	rides       riders
	grants      granted
	commissions commissions
}

// AnteHandle lets tx pass without a fee or takes it.
func (f fees) AnteHandle(ctx sdk.Context, tx sdk.Tx, simulate bool, next sdk.AnteHandler) (sdk.Context, error) {
	t, ok := tx.(sdk.FeeTx)
	if !ok || !t.GetFee().IsZero() || ctx.BlockHeight() == 0 {
		return f.pay.AnteHandle(ctx, tx, simulate, next)
	}
	inner, keep := ctx.CacheContext()
	if err := f.free(inner, t, simulate); err != nil {
		if simulate {
			return f.estimate(ctx, t, next)
		}
		newCtx, payErr := f.pay.AnteHandle(ctx, tx, simulate, next)
		switch {
		case payErr != nil && sdkerrors.ErrInsufficientFee.Is(payErr):
			return newCtx, sdkerrors.ErrInsufficientFee.Wrapf("%s; not free: %s", payErr, err)
		case payErr != nil && sdkerrors.ErrUnknownAddress.Is(payErr): // whose address the SDK gives in bytes
			return newCtx, sdkerrors.ErrUnknownAddress.Wrapf("there is no account to pay a fee; not free: %s", err)
		}
		return newCtx, payErr
	}
	keep()
	return next(ctx, tx, simulate)
}

// free returns an error unless all messages of t are free, and counts them.
func (f fees) free(ctx sdk.Context, t sdk.FeeTx, simulate bool) error {
	if !simulate && (t.GetGas() == 0 || t.GetGas() > maxFreeGas) {
		return sdkerrors.ErrInvalidGasLimit.Wrapf("gas limit %d; a free transaction has 1 to %d", t.GetGas(), maxFreeGas)
	}
	msgs := t.GetMsgs()
	for i := 0; i < len(msgs); i++ {
		if i == maxFreeMessages {
			return sdkerrors.ErrTxTooLarge.Wrapf("a free transaction has at most %d messages", maxFreeMessages)
		}
		if exec, ok := msgs[i].(*authz.MsgExec); ok {
			inner, err := f.granted(ctx, exec)
			if err != nil {
				return err
			}
			if len(inner) > maxFreeMessages {
				return sdkerrors.ErrTxTooLarge.Wrapf("a free transaction has at most %d messages", maxFreeMessages)
			}
			for _, msg := range inner {
				if err := f.rides.Ride(ctx, msg); err != nil {
					return err
				}
			}
			continue
		}
		if err := f.ride(ctx, msgs[i]); err != nil {
			return err
		}
	}
	return nil
}

// granted returns the messages of exec if its sender was granted them all. A
// stranger must not use up somebody's free messages.
func (f fees) granted(ctx sdk.Context, exec *authz.MsgExec) ([]sdk.Msg, error) {
	msgs, err := exec.GetMessages()
	if err != nil {
		return nil, err
	}
	grantee, err := sdk.AccAddressFromBech32(exec.Grantee)
	if err != nil {
		return nil, err
	}
	for _, msg := range msgs {
		owned, ok := msg.(interface{ GetAccount() string })
		if !ok {
			return nil, sdkerrors.ErrUnauthorized.Wrapf("%s is not free", sdk.MsgTypeURL(msg))
		}
		granter, err := sdk.AccAddressFromBech32(owned.GetAccount())
		if err != nil {
			return nil, err
		}
		if grantee.Equals(granter) {
			continue
		}
		if a, _ := f.grants.GetAuthorization(ctx, grantee, granter, sdk.MsgTypeURL(msg)); a == nil {
			return nil, sdkerrors.ErrUnauthorized.Wrapf("%s granted %s no %s", granter, grantee, sdk.MsgTypeURL(msg))
		}
	}
	return msgs, nil
}

// ride lets a message of its own signer pass.
func (f fees) ride(ctx sdk.Context, msg sdk.Msg) error {
	w, ok := msg.(*distrtypes.MsgWithdrawValidatorCommission)
	if !ok {
		return f.rides.Ride(ctx, msg)
	}
	val, err := sdk.ValAddressFromBech32(w.ValidatorAddress)
	if err != nil {
		return err
	}
	c, err := f.commissions.GetValidatorAccumulatedCommission(ctx, val)
	if err != nil {
		return err
	}
	if have := c.Commission.AmountOf(coin.Denom); have.LT(math.LegacyNewDecFromInt(sdkInt(minFreeWithdrawal))) {
		return sdkerrors.ErrInsufficientFee.Wrapf("a free withdrawal is of at least %v, this is %snplx", minFreeWithdrawal, have)
	}
	return f.rides.RideAlong(ctx, sdk.AccAddress(val))
}

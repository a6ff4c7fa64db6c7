package sim

import (
	"context"
	"fmt"

	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/types/tx/signing"
	authsigning "github.com/cosmos/cosmos-sdk/x/auth/signing"

	"github.com/plexus-network/plexus/coin"
)

// gasLimit is that of every transaction: as much as a free one may have.
const gasLimit = 5_000_000

// Sign returns messages as a transaction of p, with a fee.
func (c *Chain) Sign(p *Person, fee coin.Amount, msgs ...sdk.Msg) ([]byte, error) {
	ctx, err := c.State()
	if err != nil {
		return nil, err
	}
	config := c.App.Encoding.TxConfig
	builder := config.NewTxBuilder()
	if err := builder.SetMsgs(msgs...); err != nil {
		return nil, err
	}
	builder.SetGasLimit(gasLimit)
	builder.SetFeeAmount(sdk.NewCoins(nplx(fee)))
	as := authsigning.SignerData{Address: p.Address(), ChainID: chainID, PubKey: p.PubKey()}
	if account := c.App.Accounts.GetAccount(ctx, p.Account()); account != nil { // else it is a newcomer
		as.AccountNumber, as.Sequence = account.GetAccountNumber(), account.GetSequence()
	}
	single := &signing.SingleSignatureData{SignMode: signing.SignMode_SIGN_MODE_DIRECT}
	signature := signing.SignatureV2{PubKey: p.PubKey(), Sequence: as.Sequence, Data: single}
	if err := builder.SetSignatures(signature); err != nil {
		return nil, err
	}
	doc, err := authsigning.GetSignBytesAdapter(context.Background(), config.SignModeHandler(), single.SignMode, as, builder.GetTx())
	if err != nil {
		return nil, fmt.Errorf("sign %T: %w", msgs[0], err)
	}
	if single.Signature, err = p.Key.Sign(doc); err != nil {
		return nil, err
	}
	if err := builder.SetSignatures(signature); err != nil {
		return nil, err
	}
	return config.TxEncoder()(builder.GetTx())
}

// Exists tells whether the chain knows an account of p.
func (c *Chain) Exists(p *Person) bool {
	ctx, err := c.State()
	return err == nil && c.App.Accounts.HasAccount(ctx, p.Account())
}

// sdkInt returns a as an integer of the SDK.
func sdkInt(a coin.Amount) math.Int { return math.NewIntFromUint64(uint64(a)) }

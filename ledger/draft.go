package ledger

import (
	"fmt"

	"cosmossdk.io/math"
	codectypes "github.com/cosmos/cosmos-sdk/codec/types"
	sdk "github.com/cosmos/cosmos-sdk/types"
	txtypes "github.com/cosmos/cosmos-sdk/types/tx"
	"github.com/cosmos/cosmos-sdk/types/tx/signing"

	"github.com/plexus-network/plexus/coin"
	"github.com/plexus-network/plexus/wallet"
)

// A draft is a transaction that is not signed yet.
type draft struct {
	key      *wallet.Key
	body     *txtypes.TxBody
	chainID  string
	number   uint64
	sequence uint64
	gas      uint64
	fee      coin.Amount
	payer    string // who pays the fee, if not the key
}

// encode returns the parts that are signed.
func (d draft) encode() (body, auth []byte, err error) {
	pub, err := codectypes.NewAnyWithValue(d.key.PubKey())
	if err != nil {
		return nil, nil, fmt.Errorf("encode key %s: %w", d.key.Name(), err)
	}
	fee := &txtypes.Fee{GasLimit: d.gas, Granter: d.payer}
	if d.fee > 0 {
		fee.Amount = sdk.NewCoins(sdk.NewCoin(coin.Denom, math.NewIntFromUint64(uint64(d.fee))))
	}
	info := &txtypes.AuthInfo{
		SignerInfos: []*txtypes.SignerInfo{{
			PublicKey: pub,
			ModeInfo: &txtypes.ModeInfo{Sum: &txtypes.ModeInfo_Single_{
				Single: &txtypes.ModeInfo_Single{Mode: signing.SignMode_SIGN_MODE_DIRECT},
			}},
			Sequence: d.sequence,
		}},
		Fee: fee,
	}
	if body, err = d.body.Marshal(); err == nil {
		auth, err = info.Marshal()
	}
	if err != nil {
		return nil, nil, fmt.Errorf("encode a transaction: %w", err)
	}
	return body, auth, nil
}

// sign returns the bytes of the signed transaction.
func (d draft) sign() ([]byte, error) {
	body, auth, err := d.encode()
	if err != nil {
		return nil, err
	}
	doc, err := (&txtypes.SignDoc{BodyBytes: body, AuthInfoBytes: auth, ChainId: d.chainID, AccountNumber: d.number}).Marshal()
	if err != nil {
		return nil, fmt.Errorf("encode a transaction: %w", err)
	}
	sig, err := d.key.Sign(doc)
	if err != nil {
		return nil, err
	}
	return (&txtypes.TxRaw{BodyBytes: body, AuthInfoBytes: auth, Signatures: [][]byte{sig}}).Marshal()
}

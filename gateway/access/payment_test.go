package access

import (
	"testing"

	codectypes "github.com/cosmos/cosmos-sdk/codec/types"
	sdk "github.com/cosmos/cosmos-sdk/types"
	txtypes "github.com/cosmos/cosmos-sdk/types/tx"
	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"

	"github.com/plexus-network/plexus/coin"
)

// payment encodes a transaction that pays.
func payment(t testing.TB, from, to, memo string, nplx int64) []byte {
	t.Helper()
	m, err := codectypes.NewAnyWithValue(&banktypes.MsgSend{
		FromAddress: from, ToAddress: to, Amount: sdk.Coins{sdk.NewInt64Coin(coin.Denom, nplx)},
	})
	if err != nil {
		t.Fatal(err)
	}
	tx := txtypes.Tx{Body: &txtypes.TxBody{Messages: []*codectypes.Any{m}, Memo: memo}}
	raw, err := tx.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

package chain

import (
	"strings"
	"testing"

	sdk "github.com/cosmos/cosmos-sdk/types"
	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"

	subnetv1 "github.com/plexus-network/plexus/api/plexus/subnet/v1"
	"github.com/plexus-network/plexus/coin"
)

// TestSimulationReckonsWithTheFee: wallets simulate without a fee and add some
// tenths of the gas; paying the fee must not take more than that.
func TestSimulationReckonsWithTheFee(t *testing.T) {
	b := newBench(t, 1, nil, []string{"rich", "heir"}, nil)
	rich, heir := b.person("rich"), b.person("heir")
	for _, msg := range []sdk.Msg{
		banktypes.NewMsgSend(rich.address(), heir.address(), sdk.NewCoins(nplx(coin.PLX))),
		&subnetv1.MsgRegisterNeuron{Account: rich.String(), Netuid: 1, MaxPrice: nplx(coin.PLX)},
		delegateMsg(rich, b.person("v0"), coin.PLX),
	} {
		guess, _, err := b.app.Simulate(b.tx(rich, 0, msg))
		if err != nil {
			t.Fatalf("%T: %v", msg, err)
		}
		r := b.block(b.tx(rich, coin.PLX/1000, msg)).TxResults[0]
		if r.Code != 0 {
			t.Fatalf("%T: %s", msg, r.Log)
		}
		if low, high := r.GasUsed*9/10, r.GasUsed*12/10; int64(guess.GasUsed) < low || int64(guess.GasUsed) > high {
			t.Errorf("%T: simulated with %d gas, took %d", msg, guess.GasUsed, r.GasUsed)
		}
	}

	// Who has nothing is simulated, too.
	poor := b.person("poor")
	b.must(rich, banktypes.NewMsgSend(rich.address(), poor.address(), sdk.NewCoins(nplx(1))))
	b.must(poor, banktypes.NewMsgSend(poor.address(), rich.address(), sdk.NewCoins(nplx(1))))
	if _, _, err := b.app.Simulate(b.tx(poor, 0, claimMsg(poor))); err == nil || !strings.Contains(err.Error(), "failed to execute message") {
		t.Errorf("an account without a coin: %v; want it to get as far as its message", err)
	}
}

package chain

import (
	"testing"

	sdk "github.com/cosmos/cosmos-sdk/types"

	marketv1 "github.com/plexus-network/plexus/api/plexus/market/v1"
	registryv1 "github.com/plexus-network/plexus/api/plexus/registry/v1"
	"github.com/plexus-network/plexus/coin"
)

// surprise has the validators vote in one block, each with 1.3 times the gas
// that a trial run took while nobody had voted, as ledger.Client does, and
// returns the log of the first that failed.
func (b *bench) surprise(msg func(by *person) sdk.Msg) string {
	b.t.Helper()
	var txs [][]byte
	for _, v := range b.validators {
		guess, _, err := b.app.Simulate(b.tx(v, 0, msg(v)))
		if err != nil {
			b.t.Fatal(err)
		}
		account := b.app.Accounts.GetAccount(b.ctx(), v.address())
		txs = append(txs, b.signed(v, account.GetAccountNumber(), account.GetSequence(), guess.GasUsed*13/10, 0, msg(v)))
	}
	for i, r := range b.block(txs[:2]...).TxResults {
		b.t.Logf("vote %d wanted %d gas and took %d", i+1, r.GasWanted, r.GasUsed)
		if r.Code != 0 {
			return r.Log
		}
	}
	return ""
}

// A vote is sent with the gas that it takes while the case is open; other votes
// of the same block may make it the one that decides.
func TestVoteThatDecidesUnawaresHasGasEnough(t *testing.T) {
	for _, guilty := range []bool{true, false} {
		b := accused(t, 1000*coin.PLX, 1000*coin.PLX, 1000*coin.PLX)
		b.must(b.validators[0], b.report(b.validators[0], "cheat", "proof"))
		if log := b.surprise(func(by *person) sdk.Msg {
			return &registryv1.MsgVoteFraud{Account: by.String(), Case: 1, Guilty: guilty}
		}); log != "" {
			t.Errorf("guilty %v: %s", guilty, log)
		}
		if c := b.fraud(1).Case; c.Verdict == registryv1.Verdict_VERDICT_OPEN {
			t.Errorf("guilty %v: %+v", guilty, c)
		}
	}
}

func TestVoteThatSlashesUnawaresHasGasEnough(t *testing.T) {
	for _, guilty := range []bool{true, false} {
		b := rented(t, nil)
		b.must(b.person("tenant"), b.accusation("tenant"))
		if log := b.surprise(func(by *person) sdk.Msg {
			return &marketv1.MsgVoteNonDelivery{Account: by.String(), Case: 1, Guilty: guilty}
		}); log != "" {
			t.Errorf("guilty %v: %s", guilty, log)
		}
		if c := b.tried(1); c.Verdict == marketv1.CaseVerdict_CASE_VERDICT_OPEN {
			t.Errorf("guilty %v: %+v", guilty, c)
		}
	}
}

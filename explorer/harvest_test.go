package explorer

import (
	"math"
	"strings"
	"testing"

	abci "github.com/cometbft/cometbft/abci/types"
	"pgregory.net/rapid"

	"github.com/plexus-network/plexus/ledger"
	"github.com/plexus-network/plexus/yuma"
)

func TestNplx(t *testing.T) {
	for text, want := range map[string]int64{
		"": 0, "12nplx": 12, "12.9nplx": 12, "3abc,7nplx,9xyz": 7, "7plx": 0, "-5nplx": 0, "nplx": 0, "1e3nplx": 0,
		"0.000000000000000001nplx":          0,
		"9223372036854775807nplx":           math.MaxInt64,
		"9223372036854775808nplx":           math.MaxInt64,
		"99999999999999999999999999999nplx": math.MaxInt64,
	} {
		if got := nplx(text); got != want {
			t.Errorf("%q is %d nplx, want %d", text, got, want)
		}
	}
}

// TestAnyEventIsTaken checks that no event stops the index: a node may be of a
// later version, or lie.
func TestAnyEventIsTaken(t *testing.T) {
	kinds := []string{
		"tx", "transfer", "coin_spent", "coin_received", "coinbase", "burn", "rewards", "commission", "delegate", "redelegate",
		"slash", "withdraw_rewards", "create_validator", "plexus.subnet.v1.EventEpoch", "plexus.subnet.v1.EventNeuronRegistered",
		"plexus.subnet.v1.EventClaimed", "plexus.subnet.v1.EventOfLater", "plexus.subnet.v1.MsgClaim", "other", "",
	}
	keys := []string{
		"amount", "sender", "recipient", "validator", "delegator", "netuid", "uid", "account", "epoch", "fee", "acc_seq",
		"mode", "msg_index", "spender", "receiver", "burned",
	}
	values := []string{
		"", "1nplx", "18446744073709551615nplx", "-1nplx", `"5"`, "7", `{"stake":["1","2"],"active":[true]}`, `{"height":`, "\x00\xff", "null",
		`"` + strings.Repeat("a", 1000) + `"`, "plxvaloper1", "4294967295",
	}
	x := open(t, t.TempDir()+"/index.db")
	height := uint64(0)
	k, err := x.recall(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		events := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) abci.Event {
			e := abci.Event{Type: rapid.SampledFrom(kinds).Draw(t, "kind")}
			for range rapid.IntRange(0, 5).Draw(t, "attributes") {
				e.Attributes = append(e.Attributes, abci.EventAttribute{
					Key: rapid.SampledFrom(keys).Draw(t, "key"), Value: rapid.SampledFrom(values).Draw(t, "value"),
				})
			}
			return e
		}), 0, 8)
		height++
		b := &ledger.Block{Events: events.Draw(t, "events")}
		b.Height = yuma.Height(height)
		b.Txs = []ledger.Tx{{Raw: rapid.SliceOf(rapid.Byte()).Draw(t, "raw"), Log: "\x00", Events: events.Draw(t, "tx")}}
		if err := x.add(t.Context(), reap(b), &sample{}, k); err != nil {
			t.Fatal(err)
		}
	})
}

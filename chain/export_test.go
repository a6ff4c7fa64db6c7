package chain

import (
	"encoding/json"

	abci "github.com/cometbft/cometbft/abci/types"

	"github.com/plexus-network/plexus/chain/market"
	"github.com/plexus-network/plexus/chain/subnet"
)

// roundTrip starts a second chain from the state of the first, and compares
// what both say of their own modules, at once and 30 blocks later.
func (b *bench) roundTrip() {
	b.t.Helper()
	doc, err := b.app.Export("plexus-test")
	if err != nil {
		b.t.Fatal(err)
	}
	var state map[string]json.RawMessage
	if err := json.Unmarshal(doc.AppState, &state); err != nil {
		b.t.Fatal(err)
	}
	twin := *b
	twin.db, twin.initial = nil, doc.InitialHeight
	twin.open()
	params := doc.Consensus.Params.ToProto()
	var validators []abci.ValidatorUpdate
	for _, v := range doc.Consensus.Validators {
		validators = append(validators, abci.Ed25519ValidatorUpdate(v.PubKey.Bytes(), v.Power))
	}
	if _, err := twin.app.InitChain(&abci.RequestInitChain{
		ChainId: "plexus-test", Time: b.time, AppStateBytes: doc.AppState, InitialHeight: doc.InitialHeight,
		ConsensusParams: &params, Validators: validators,
	}); err != nil {
		b.t.Fatal(err)
	}
	twin.block()
	if err := twin.app.Check(twin.ctx()); err != nil {
		b.t.Fatalf("the imported chain: %v", err)
	}
	b.block()
	for range 30 {
		b.block()
		twin.block()
	}
	mine, theirs := b.export(), twin.export()
	if string(mine[subnet.ModuleName]) != string(theirs[subnet.ModuleName]) {
		b.t.Errorf("after 30 blocks the subnets differ:\n%s\n%s", mine[subnet.ModuleName], theirs[subnet.ModuleName])
	}
	if string(mine[market.ModuleName]) != string(theirs[market.ModuleName]) {
		b.t.Errorf("after 30 blocks the markets differ:\n%s\n%s", mine[market.ModuleName], theirs[market.ModuleName])
	}
}

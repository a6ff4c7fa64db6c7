package chain

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"
	dbm "github.com/cosmos/cosmos-db"

	"github.com/cosmos/cosmos-sdk/baseapp"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/plexus-network/plexus/coin"
)

// A follower is a node that gets the blocks of a bench.
type follower struct {
	t    *testing.T
	app  *App
	db   dbm.DB
	home string // where an old node left its note of an upgrade; may be empty
}

// reopen loads the state from the database, as after a loss of power.
func (f *follower) reopen() {
	f.t.Helper()
	app, err := NewApp(AppOptions{DB: f.db, Home: f.home, ChainID: "plexus-test", Base: []func(*baseapp.BaseApp){baseapp.SetIAVLSyncPruning(true)}})
	if err != nil {
		f.t.Fatal(err)
	}
	f.app = app
}

// finalize runs a block without committing it, and returns the hash it leads
// to.
func (f *follower) finalize(r *abci.RequestFinalizeBlock) []byte {
	f.t.Helper()
	got, err := f.app.FinalizeBlock(r)
	if err != nil {
		f.t.Fatal(err)
	}
	return got.AppHash
}

// block runs a block and commits it.
func (f *follower) block(r *abci.RequestFinalizeBlock) []byte {
	f.t.Helper()
	hash := f.finalize(r)
	if _, err := f.app.Commit(); err != nil {
		f.t.Fatal(err)
	}
	return hash
}

// blocksOf makes n blocks on a bench, each with a transaction that is done or
// refused, and hands them on with the hashes they led to.
func (b *bench) blocksOf(n int, also func(*abci.RequestFinalizeBlock, []byte)) {
	b.t.Helper()
	for i := range n {
		b.time = b.time.Add(b.step)
		r := &abci.RequestFinalizeBlock{
			Height: b.app.LastBlockHeight() + 1, Time: b.time,
			ProposerAddress: b.validators[i%len(b.validators)].cons(), DecidedLastCommit: b.votes(),
		}
		p := b.person("bob")
		var msg sdk.Msg
		switch i % 5 {
		case 0:
			p = b.person("v0")
			msg = b.weigh(1, p, "m0", 1+i%100, "m1", 50)
		case 1:
			p = b.person("ann")
			msg = delegateMsg(p, b.person("v1"), coin.Amount(1+i)*coin.PLX)
		case 2:
			p = b.person("m1")
			msg = claimMsg(p)
		default:
			msg = delegateMsg(p, b.person("v0"), 1<<60) // more than there is: refused
		}
		r.Txs = [][]byte{b.tx(p, 0, msg)}
		hash := (&follower{t: b.t.(*testing.T), app: b.app}).block(r)
		also(r, hash)
	}
}

// stopAtUpgrade leaves what old software leaves at the height of an upgrade: its
// note of it, for the software that takes over.
func (f *follower) stopAtUpgrade() {
	f.t.Helper()
	f.home = f.t.TempDir()
	note := fmt.Sprintf(`{"name":"v2","height":%d}`, v1Height+1)
	err := errors.Join(
		os.MkdirAll(filepath.Join(f.home, "data"), 0o700),
		os.WriteFile(filepath.Join(f.home, "data", "upgrade-info.json"), []byte(note), 0o600),
	)
	if err != nil {
		f.t.Fatal(err)
	}
	f.reopen()
}

// This runs one chain of version 1 through its upgrade and beyond, and nodes
// that went through trouble beside one that never stopped: whatever befell
// them, all agree on the state after every block.
func TestSameHashWhenKilledRestoredUpgradedOrStateSynced(t *testing.T) {
	steady := v1Bench(t)
	nodes := map[string]*follower{}
	join := func(name string, app *App, db dbm.DB) *follower {
		nodes[name] = &follower{t: t, app: app, db: db}
		return nodes[name]
	}
	early := v1Bench(t) // from a snapshot of version 1
	join("restored before the upgrade", early.app, early.db)
	old := v1Bench(t)
	join("upgraded where the old software stopped", old.app, old.db).stopAtUpgrade()
	killed := v1Bench(t)
	crashing := join("killed in every third block", killed.app, killed.db)

	blocks := 0
	steady.blocksOf(45, func(r *abci.RequestFinalizeBlock, want []byte) {
		blocks++
		if blocks%3 == 0 { // it dies between deciding a block and keeping it
			crashing.finalize(r)
			crashing.reopen()
		}
		for name, n := range nodes {
			if got := n.block(r); !bytes.Equal(got, want) {
				t.Fatalf("block %d: the node %s has hash %x, the steady one %x", r.Height, name, got, want)
			}
		}
		if blocks == 2 || blocks == 20 { // right after the upgrade, and amid the life after it
			snapshot, chunks := snapshotOf(t, steady.app)
			app, db := restored(t, snapshot, chunks, want)
			name := map[int]string{2: "state-synced after the upgrade", 20: "state-synced later"}[blocks]
			join(name, app, db)
		}
	})
	if len(nodes) != 5 || blocks != 45 {
		t.Fatalf("%d nodes followed %d blocks", len(nodes), blocks)
	}
	for name, n := range nodes {
		ctx, err := n.app.CreateQueryContext(n.app.LastBlockHeight(), false)
		if err != nil {
			t.Fatal(err)
		}
		if err := n.app.Check(ctx); err != nil {
			t.Errorf("the node %s: %v", name, err)
		}
	}
	if e := steady.metagraph(1); e.EpochHeight < v1Height+30 {
		t.Errorf("the last epoch was at %d; the test proves little", e.EpochHeight)
	}
}

// TestExportedChainGoesOn starts a chain from the export of an upgraded one.
func TestExportedChainGoesOn(t *testing.T) {
	b := v1Bench(t)
	b.step = 2 * time.Second
	b.until(v1Height + 5)
	b.roundTrip()
}

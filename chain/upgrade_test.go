package chain

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"
	dbm "github.com/cosmos/cosmos-db"

	"github.com/cosmos/cosmos-sdk/baseapp"
	"github.com/cosmos/cosmos-sdk/store/v2/rootmulti"
	"github.com/cosmos/cosmos-sdk/store/v2/snapshots"
	snapshottypes "github.com/cosmos/cosmos-sdk/store/v2/snapshots/types"
	storetypes "github.com/cosmos/cosmos-sdk/store/v2/types"
	sdk "github.com/cosmos/cosmos-sdk/types"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
	govv1 "github.com/cosmos/cosmos-sdk/x/gov/types/v1"
	upgradetypes "github.com/cosmos/cosmos-sdk/x/upgrade/types"

	subnetv1 "github.com/plexus-network/plexus/api/plexus/subnet/v1"
	"github.com/plexus-network/plexus/chain/emission"
	"github.com/plexus-network/plexus/chain/market"
	"github.com/plexus-network/plexus/chain/registry"
	"github.com/plexus-network/plexus/chain/subnet"
	"github.com/plexus-network/plexus/coin"
)

// What testdata/v1.snapshot holds.
const (
	v1Height = 59
	v1Hash   = "c6bf464ef9574924b99c2fa756af0f0dcf295bc2a14e2541396a3b6d1e9e8938"
)

// v1Time is the time of its latest block: one of 49 hours among those of a
// second, for the vote.
var v1Time = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(58*time.Second + 49*time.Hour)

// snapshotOf returns the state of an app as a node would offer it to others.
func snapshotOf(t *testing.T, app *App) (snapshottypes.Snapshot, [][]byte) {
	t.Helper()
	store, err := snapshots.NewStore(dbm.NewMemDB(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	makes := snapshots.NewManager(store, snapshottypes.NewSnapshotOptions(1, 1), app.CommitMultiStore(), nil, cosmosLog(nil))
	made, err := makes.Create(uint64(app.LastBlockHeight()))
	if err != nil {
		t.Fatal(err)
	}
	chunks := make([][]byte, made.Chunks)
	for i := range chunks {
		r, err := store.LoadChunk(made.Height, made.Format, uint32(i))
		if err != nil {
			t.Fatal(err)
		}
		if chunks[i], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
	return *made, chunks
}

// restored returns an app with the state of a snapshot, taken over as CometBFT
// makes a node take it, and its database.
func restored(t *testing.T, s snapshottypes.Snapshot, chunks [][]byte, hash []byte) (*App, dbm.DB) {
	t.Helper()
	db := dbm.NewMemDB()
	store, err := snapshots.NewStore(dbm.NewMemDB(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	app, err := NewApp(AppOptions{DB: db, ChainID: "plexus-test", Base: []func(*baseapp.BaseApp){
		baseapp.SetIAVLSyncPruning(true), baseapp.SetSnapshot(store, snapshottypes.NewSnapshotOptions(0, 0)),
	}})
	if err != nil {
		t.Fatal(err)
	}
	offer, err := s.ToABCI()
	if err != nil {
		t.Fatal(err)
	}
	o, err := app.OfferSnapshot(&abci.RequestOfferSnapshot{Snapshot: &offer, AppHash: hash})
	if err != nil || o.Result != abci.ResponseOfferSnapshot_ACCEPT {
		t.Fatalf("offer of a snapshot: %v, %v", o, err)
	}
	for i, chunk := range chunks {
		r, err := app.ApplySnapshotChunk(&abci.RequestApplySnapshotChunk{Index: uint32(i), Chunk: chunk})
		if err != nil || r.Result != abci.ResponseApplySnapshotChunk_ACCEPT {
			t.Fatalf("chunk %d: %v, %v", i, r, err)
		}
	}
	return app, db
}

// v1Stores returns the database that version 1 left: its stores are those of
// this software but the ones that came later.
func v1Stores(t *testing.T, s snapshottypes.Snapshot, chunk []byte) dbm.DB {
	t.Helper()
	db := dbm.NewMemDB()
	stores := rootmulti.NewStore(db, cosmosLog(nil))
	stores.SetIAVLSyncPruning(true)
	for _, key := range storetypes.NewKVStoreKeys(storeNames...) {
		if key.Name() != registry.ModuleName && key.Name() != market.ModuleName {
			stores.MountStoreWithDB(key, storetypes.StoreTypeIAVL, nil)
		}
	}
	if err := stores.LoadLatestVersion(); err != nil {
		t.Fatal(err)
	}
	kept, err := snapshots.NewStore(dbm.NewMemDB(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	takes := snapshots.NewManager(kept, snapshottypes.NewSnapshotOptions(0, 0), stores, nil, cosmosLog(nil))
	if err := takes.Restore(s); err != nil {
		t.Fatal(err)
	}
	if done, err := takes.RestoreChunk(chunk); err != nil || !done {
		t.Fatalf("the fixture's chunk: %v, %v", done, err)
	}
	return db
}

// v1Bench returns the chain that version 1 left, in this software.
func v1Bench(t *testing.T) *bench {
	t.Helper()
	Configure()
	chunk, err := os.ReadFile(filepath.Join("testdata", "v1.snapshot"))
	if err != nil {
		t.Fatal(err)
	}
	hash, err := hex.DecodeString(v1Hash)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(chunk)
	b := &bench{t: t, step: time.Second, time: v1Time, people: map[string]*person{}, absent: map[int]bool{}, initial: 1}
	b.db = v1Stores(t, snapshottypes.Snapshot{
		Height: v1Height, Format: snapshottypes.CurrentFormat, Chunks: 1, Hash: sum[:],
		Metadata: snapshottypes.Metadata{ChunkHashes: [][]byte{sum[:]}},
	}, chunk)
	home := t.TempDir()
	note := fmt.Sprintf(`{"name":"v2","height":%d}`, v1Height+1) // which the old software wrote when it stopped
	if err := errors.Join(os.Mkdir(filepath.Join(home, "data"), 0o700), os.WriteFile(filepath.Join(home, "data", "upgrade-info.json"), []byte(note), 0o600)); err != nil {
		t.Fatal(err)
	}
	b.app, err = NewApp(AppOptions{DB: b.db, Home: home, ChainID: "plexus-test", Base: []func(*baseapp.BaseApp){baseapp.SetIAVLSyncPruning(true)}})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"v0", "v1", "v2"} {
		b.validators = append(b.validators, b.person(name))
	}
	if got := b.app.LastCommitID(); got.Version != v1Height || !bytes.Equal(got.Hash, hash) {
		t.Fatalf("the fixture restores to height %d, hash %x; want %d, %s", got.Version, got.Hash, v1Height, v1Hash)
	}
	return b
}

// TestUpgradeFromV1 takes over a chain of version 1 and goes on with it.
func TestUpgradeFromV1(t *testing.T) {
	b := v1Bench(t)
	versions, err := b.app.upgrade.GetModuleVersionMap(b.ctx())
	if err != nil || versions[emission.ModuleName] != 1 || versions[subnet.ModuleName] != 1 {
		t.Fatalf("versions of the fixture: %v, %v; want 1 of ours", versions, err)
	}
	was := b.schedule()
	if was.State.LastMs != 0 {
		t.Fatalf("the fixture knows last_ms already: %v", was.State)
	}
	bonds := b.bonds()
	if len(bonds.Rows) == 0 {
		t.Fatal("the fixture has no bonds: it proves little")
	}

	b.block() // the planned height
	for name, version := range b.app.modules.GetVersionMap() {
		versions, err := b.app.upgrade.GetModuleVersionMap(b.ctx())
		if err != nil || versions[name] != version {
			t.Errorf("%s has version %d in the state, %v; want %d", name, versions[name], err, version)
		}
	}
	is := b.schedule()
	if is.State.LastMs != b.time.UnixMilli() || is.State.ClockMs != was.State.ClockMs+1000 {
		t.Errorf("the clock went from %d ms to %d ms, last block at %d ms; want one second more, at %d ms",
			was.State.ClockMs, is.State.ClockMs, is.State.LastMs, b.time.UnixMilli())
	}
	if _, err := b.app.upgrade.GetUpgradePlan(b.ctx()); err == nil {
		t.Error("the plan is still there after the upgrade")
	}
	if got := b.bonds(); got.String() != bonds.String() && b.metagraph(1).EpochHeight != v1Height+1 {
		t.Errorf("bonds after the upgrade: %v\nbefore: %v", got, bonds)
	}

	// The chain lives on: transactions, epochs, pay. Invariants are checked
	// after every block.
	before := b.neuron("m0").Claimable
	v1 := b.person("v1")
	b.must(v1, b.weigh(1, v1, "m0", 65535))
	b.until(v1Height + 3*tempo)
	if now := b.neuron("m0").Claimable; now <= before {
		t.Errorf("m0 can claim %v after three epochs, %v before", coin.Amount(now), coin.Amount(before))
	}
	b.must(b.person("m0"), claimMsg(b.person("m0")))
	if _, err := b.app.Export("plexus-test"); err != nil {
		t.Errorf("export after the upgrade: %v", err)
	}
}

// TestUpgradeAddsTheMarket takes over a chain that began without the market.
func TestUpgradeAddsTheMarket(t *testing.T) {
	b := newBench(t, 3, []string{"m0"}, []string{"rich", "tenant"}, nil)
	const stop = 8
	b.decide(&upgradetypes.MsgSoftwareUpgrade{Authority: governance().String(), Plan: upgradetypes.Plan{Name: "v3", Height: stop}})
	if got := b.app.LastBlockHeight(); got != stop-2 {
		t.Fatalf("the plan was made at %d, want %d: this software would not go on with a plan that it knows", got, stop-2)
	}
	forgetMarket(t, b.db)
	home := t.TempDir()
	note := fmt.Sprintf(`{"name":"v3","height":%d}`, stop)
	if err := errors.Join(os.Mkdir(filepath.Join(home, "data"), 0o700), os.WriteFile(filepath.Join(home, "data", "upgrade-info.json"), []byte(note), 0o600)); err != nil {
		t.Fatal(err)
	}
	app, err := NewApp(AppOptions{DB: b.db, Home: home, ChainID: "plexus-test", Base: []func(*baseapp.BaseApp){baseapp.SetIAVLSyncPruning(true)}})
	if err != nil {
		t.Fatal(err)
	}
	b.app = app
	b.block()
	if got := b.app.LastBlockHeight(); got != stop {
		t.Fatalf("the upgrade was at %d, want %d", got, stop)
	}
	m := b.deployment(coin.PLX, group("web", "10"))
	b.must(b.person("tenant"), m)
	b.roundTrip()
}

// TestUpgradeClaimsTheAccountOfANewModule: coins that somebody sent to the
// module's address before it came do not keep it from coming.
func TestUpgradeClaimsTheAccountOfANewModule(t *testing.T) {
	b := newBench(t, 1, nil, []string{"rich"}, nil)
	ctx, _ := b.ctx().CacheContext()
	address := authtypes.NewModuleAddress(market.ModuleName)
	b.app.Accounts.RemoveAccount(ctx, b.app.Accounts.GetModuleAccount(ctx, market.ModuleName))
	if err := b.app.Bank.SendCoins(ctx, b.person("rich").address(), address, sdk.NewCoins(nplx(7))); err != nil {
		t.Fatal(err)
	}
	if _, own := b.app.Accounts.GetAccount(ctx, address).(sdk.ModuleAccountI); own {
		t.Fatal("the address is the module's already: the test proves nothing")
	}
	if err := b.app.Market.Check(ctx); err == nil {
		t.Error("7nplx that belong to nobody are in order")
	}
	for range 2 { // the second time there is nothing to do
		if err := b.app.claim(ctx, market.ModuleName); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.app.Market.Check(ctx); err != nil {
		t.Error(err)
	}
	if a := b.app.Accounts.GetModuleAccount(ctx, market.ModuleName); !a.HasPermission(authtypes.Burner) {
		t.Errorf("the module's account is %v", a)
	}
}

// forgetMarket makes of a database that of a chain without the market, one
// version later.
func forgetMarket(t *testing.T, db dbm.DB) {
	t.Helper()
	stores := rootmulti.NewStore(db, cosmosLog(nil))
	stores.SetIAVLSyncPruning(true)
	keys := storetypes.NewKVStoreKeys(storeNames...)
	for _, key := range keys {
		stores.MountStoreWithDB(key, storetypes.StoreTypeIAVL, nil)
	}
	if err := stores.LoadLatestVersionAndUpgrade(&storetypes.StoreUpgrades{Deleted: []string{market.ModuleName}}); err != nil {
		t.Fatal(err)
	}
	stores.GetKVStore(keys[upgradetypes.StoreKey]).Delete(append([]byte{upgradetypes.VersionMapByte}, market.ModuleName...))
	stores.Commit()
	prefix := []byte("s/k:" + market.ModuleName + "/") // the versions that it had
	it, err := db.Iterator(prefix, storetypes.PrefixEndBytes(prefix))
	if err != nil {
		t.Fatal(err)
	}
	var gone [][]byte
	for ; it.Valid(); it.Next() {
		gone = append(gone, bytes.Clone(it.Key()))
	}
	if err := it.Close(); err != nil {
		t.Fatal(err)
	}
	for _, key := range gone {
		if err := db.Delete(key); err != nil {
			t.Fatal(err)
		}
	}
}

// bonds returns the bonds of subnet 1.
func (b *bench) bonds() *subnetv1.QueryBondsResponse {
	b.t.Helper()
	r := &subnetv1.QueryBondsResponse{}
	b.query("/plexus.subnet.v1.Query/Bonds", &subnetv1.QueryBondsRequest{Netuid: 1}, r)
	return r
}

// TestUnknownUpgradeStopsTheChain: software that does not know a planned
// upgrade makes no block at its height, and says what it waits for.
func TestUnknownUpgradeStopsTheChain(t *testing.T) {
	b := newBench(t, 3, nil, []string{"rich"}, nil)
	home := t.TempDir()
	app, err := NewApp(AppOptions{DB: b.db, Home: home, ChainID: "plexus-test", Base: []func(*baseapp.BaseApp){baseapp.SetIAVLSyncPruning(true)}})
	if err != nil {
		t.Fatal(err)
	}
	b.app = app
	b.decide(&upgradetypes.MsgSoftwareUpgrade{Authority: governance().String(), Plan: upgradetypes.Plan{Name: "v99", Height: 20}})
	b.until(19)
	_, err = b.app.FinalizeBlock(&abci.RequestFinalizeBlock{Height: 20, Time: b.time.Add(b.step), DecidedLastCommit: b.votes()})
	if err == nil || !strings.Contains(err.Error(), `UPGRADE "v99" NEEDED at height: 20`) {
		t.Errorf("a block at the height of an upgrade that nobody knows: %v", err)
	}
	note, err := os.ReadFile(filepath.Join(home, "data", "upgrade-info.json"))
	if err != nil || !strings.Contains(string(note), "v99") {
		t.Errorf("note of the upgrade for the next software: %s, %v", note, err)
	}
}

// decide makes governance do messages: the person rich proposes and all
// validators agree. It takes one long block.
func (b *bench) decide(msgs ...sdk.Msg) {
	b.t.Helper()
	b.propose(b.person("rich"), msgs...)
	b.after(49 * time.Hour) // voting takes 48
	p, err := b.app.gov.Proposals.Get(b.ctx(), b.proposals)
	if err != nil || p.Status != govv1.StatusPassed {
		b.t.Fatalf("proposal %d of %T: %v, %s, %v", b.proposals, msgs[0], p.Status, p.FailedReason, err)
	}
}

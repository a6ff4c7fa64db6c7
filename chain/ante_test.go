package chain

import (
	"strings"
	"testing"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"

	"github.com/cosmos/cosmos-sdk/baseapp"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/x/authz"
	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"

	"github.com/plexus-network/plexus/coin"
)

// priced makes the node of a bench ask for fees, as operators do.
func priced(b *bench) *bench {
	b.t.Helper()
	app, err := NewApp(AppOptions{DB: b.db, ChainID: "plexus-test", Base: []func(*baseapp.BaseApp){
		baseapp.SetIAVLSyncPruning(true), baseapp.SetMinGasPrices("0.01nplx"),
	}})
	if err != nil {
		b.t.Fatal(err)
	}
	b.app = app
	b.block()
	return b
}

// check returns what the node says to a transaction: empty if it takes it.
func (b *bench) check(tx []byte) string {
	b.t.Helper()
	r, err := b.app.CheckTx(&abci.RequestCheckTx{Tx: tx, Type: abci.CheckTxType_New})
	if err != nil {
		b.t.Fatal(err)
	}
	if r.Code == 0 {
		return ""
	}
	return r.Log
}

func TestFreeMessages(t *testing.T) {
	b := priced(newBench(t, 2, []string{"m"}, []string{"rich"}, func(o *GenesisOptions) {
		o.Subnets[0].Hyperparameters.WeightsRateLimit = 5
		o.Hotkeys = []GenesisHotkey{
			{Account: newPerson("v0").String(), Hotkey: newPerson("hot").String()},
			{Account: newPerson("m").String(), Hotkey: newPerson("stranger").String()},
		}
	}))
	v, hot, stranger, rich := b.validators[0], b.person("hot"), b.person("stranger"), b.person("rich")
	send := banktypes.NewMsgSend(rich.address(), v.address(), sdk.NewCoins(nplx(1)))
	if log := b.check(b.tx(rich, 0, send)); !strings.Contains(log, "insufficient fee") {
		t.Errorf("a transfer without a fee: %q", log)
	}
	if log := b.check(b.tx(rich, coin.PLX/10, send)); log != "" {
		t.Errorf("a transfer with a fee: %q", log)
	}

	weights := b.weigh(1, v, "m", 1)
	exec := func(by *person) sdk.Msg {
		m := authz.NewMsgExec(by.address(), []sdk.Msg{weights})
		return &m
	}
	if log := b.check(b.tx(stranger, 0, exec(stranger))); !strings.Contains(log, "granted") {
		t.Errorf("a stranger's weights for another: %q", log)
	}
	if log := b.check(b.tx(hot, 0, exec(hot))); log != "" {
		t.Errorf("the hotkey's weights: %q", log)
	}
	hot.sequence = 1
	if log := b.check(b.tx(hot, 0, exec(hot))); !strings.Contains(log, "not free: free messages of this kind: at most once in 5 blocks: wait 5 blocks") {
		t.Errorf("the hotkey's weights again at once: %q", log)
	}
	if log := b.check(b.tx(v, 0, banktypes.NewMsgSend(v.address(), rich.address(), sdk.NewCoins(nplx(1))), weights)); !strings.Contains(log, "pays its fee") {
		t.Errorf("a transfer beside weights: %q", log)
	}
	hot.sequence = 0
	b.must(hot, exec(hot))
	for range 5 {
		b.block()
	}
	b.must(v, weights) // by the coldkey itself
	if log := b.check(b.tx(v, 0, claimMsg(v))); !strings.Contains(log, "insufficient fee") {
		t.Errorf("a claim of nothing: %q", log)
	}
	b.until(2*tempo + 5)
	m := b.person("m")
	if log := b.check(b.tx(m, 0, claimMsg(m))); log != "" {
		t.Errorf("a miner's first claim: %q", log)
	}
}

func TestHotkeyActsOnlyAsGranted(t *testing.T) {
	b := newBench(t, 1, []string{"m"}, []string{"rich"}, func(o *GenesisOptions) {
		o.Hotkeys = []GenesisHotkey{{Account: newPerson("rich").String(), Hotkey: newPerson("hot").String()}}
	})
	rich, hot := b.person("rich"), b.person("hot")
	steal := authz.NewMsgExec(hot.address(), []sdk.Msg{banktypes.NewMsgSend(rich.address(), hot.address(), sdk.NewCoins(nplx(coin.PLX)))})
	if log := b.do(hot, &steal); !strings.Contains(log, "authorization not found") {
		t.Errorf("a hotkey sends its coldkey's coins: %q", log)
	}
}

func TestGenesisIsRefused(t *testing.T) {
	Configure()
	v := GenesisValidator{Moniker: "v", Operator: newPerson("v").String(), Key: newPerson("v").consKey}
	for _, c := range []struct {
		name, want string
		o          GenesisOptions
	}{
		{"no id", "chain id", GenesisOptions{Validators: []GenesisValidator{v}}},
		{"no validator", "at least one validator", GenesisOptions{ChainID: "c"}},
		{"twice", "listed twice", GenesisOptions{ChainID: "c", Validators: []GenesisValidator{v, v}}},
		{"bad key", "key of 0 bytes", GenesisOptions{ChainID: "c", Validators: []GenesisValidator{{Operator: v.Operator}}}},
		{"bad address", "account \"nonsense\"", GenesisOptions{ChainID: "c", Validators: []GenesisValidator{v}, Accounts: []GenesisAccount{{Address: "nonsense"}}}},
		{"two neurons", "has two neurons", GenesisOptions{ChainID: "c", Validators: []GenesisValidator{v}, Subnets: []GenesisSubnet{
			{Kind: "text", Neurons: []GenesisNeuron{{Account: v.Operator}, {Account: v.Operator}}},
		}}},
		{"no kind", "kind has 0 bytes", GenesisOptions{ChainID: "c", Validators: []GenesisValidator{v}, Subnets: []GenesisSubnet{{Name: "n"}}}},
	} {
		if _, err := Genesis(c.o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want it to say %q", c.name, err, c.want)
		}
	}
}

func TestSlowChainMintsLateButNeverMore(t *testing.T) {
	b := newBench(t, 1, nil, nil, nil)
	b.step = time.Hour
	for range 10 {
		b.block()
	}
	if s := b.schedule(); s.State.ClockMs != 100_000 || s.State.Minted != uint64(coin.Scheduled(100*time.Second)) {
		t.Errorf("after 10 blocks an hour apart: clock %d ms, minted %d; want 100 s of the schedule", s.State.ClockMs, s.State.Minted)
	}
}

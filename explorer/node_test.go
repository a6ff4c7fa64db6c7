package explorer_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	sdk "github.com/cosmos/cosmos-sdk/types"
	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"
	stakingtypes "github.com/cosmos/cosmos-sdk/x/staking/types"

	"github.com/plexus-network/plexus/chain"
	"github.com/plexus-network/plexus/chain/subnet"
	"github.com/plexus-network/plexus/coin"
	"github.com/plexus-network/plexus/explorer"
	"github.com/plexus-network/plexus/ledger"
	"github.com/plexus-network/plexus/wallet"
	"github.com/plexus-network/plexus/yuma"
)

// TestRealNode follows a real chain and compares what it holds with what the
// chain says.
func TestRealNode(t *testing.T) {
	validator, alice, bob := wallet.Derive("explorer", "v"), wallet.Derive("explorer", "alice"), wallet.Derive("explorer", "bob")
	node := startNode(t, validator, alice)
	c := ledger.New(node.GRPC(), ledger.Options{Poll: 20 * time.Millisecond})
	for range c.Heads(t.Context()) {
		break
	}
	x, err := explorer.Open(t.Context(), filepath.Join(t.TempDir(), "index.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	followed := make(chan error, 1)
	go func() { followed <- x.Follow(ctx, c, explorer.FollowOptions{Sample: 5}) }()
	t.Cleanup(func() {
		stop()
		if err := <-followed; err != nil {
			t.Error(err)
		}
		if err := x.Close(); err != nil {
			t.Error(err)
		}
	})

	vs, err := c.Validators(t.Context())
	if err != nil || len(vs) != 1 {
		t.Fatalf("validators %v, %v", vs, err)
	}
	plx := func(n int64) sdk.Coin { return sdk.NewInt64Coin(coin.Denom, n*int64(coin.PLX)) }
	a := ledger.Actor{Key: alice}
	if _, err := c.Submit(t.Context(), a, &banktypes.MsgSend{FromAddress: alice.Address(), ToAddress: bob.Address(), Amount: sdk.NewCoins(plx(7))}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Submit(t.Context(), a, &stakingtypes.MsgDelegate{DelegatorAddress: alice.Address(), ValidatorAddress: vs[0].Operator, Amount: plx(100)}); err != nil {
		t.Fatal(err)
	}
	uid, burned, err := c.RegisterNeuron(t.Context(), a, 1, coin.PLX)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.SetWeights(t.Context(), ledger.Actor{Key: validator}, 1, yuma.Row{{UID: uid, Value: 65535}}, 0); err != nil {
		t.Fatal(err)
	}
	until := awaitPaid(t, c)
	awaitIndexed(t, x, until)

	h := x.Handler()
	s, err := x.Status(t.Context())
	if err != nil || s.ChainID != "explorer-test" || s.Opened == 0 {
		t.Fatalf("status %+v, %v", s, err)
	}
	t.Run("balances are the chain's", func(t *testing.T) {
		holders, err := c.Holders(ledger.At(t.Context(), s.Height))
		if err != nil {
			t.Fatal(err)
		}
		for account, want := range holders {
			v := get(t, h, fmt.Sprintf("/v1/balances?address=%s&to=%d&limit=1", account, s.Height))
			if got := items(v)[0]["balance"]; fmt.Sprint(got) != fmt.Sprint(uint64(want)) {
				t.Errorf("%s has %v after block %d, want %d", account, got, s.Height, want)
			}
		}
	})
	t.Run("what alice did", func(t *testing.T) {
		v := items(get(t, h, "/v1/transfers?kind=message&sender="+alice.Address()+"&recipient="+bob.Address()))
		if len(v) != 1 || fmt.Sprint(v[0]["amount"]) != "7000000000" {
			t.Errorf("transfers to bob: %v", v)
		}
		v = items(get(t, h, "/v1/moves?delegator="+alice.Address()))
		if len(v) != 1 || v[0]["kind"] != "delegate" || v[0]["validator"] != vs[0].Operator || fmt.Sprint(v[0]["amount"]) != "100000000000" {
			t.Errorf("moves of alice: %v", v)
		}
		v = items(get(t, h, "/v1/registrations?account="+alice.Address()))
		if len(v) != 1 || fmt.Sprint(v[0]["burned"]) != fmt.Sprint(uint64(burned)) || fmt.Sprint(v[0]["uid"]) != fmt.Sprint(uid) {
			t.Errorf("registrations of alice: %v", v)
		}
		v = items(get(t, h, "/v1/txs?signer="+alice.Address()))
		if len(v) != 3 || fmt.Sprint(v[2]["messages"]) != "[cosmos.bank.v1beta1.MsgSend]" {
			t.Errorf("transactions of alice: %v", v)
		}
	})
	t.Run("epochs are the chain's", func(t *testing.T) {
		v := get(t, h, "/v1/subnets/1/metagraph")
		at, err := v["height"].(json.Number).Int64()
		if err != nil {
			t.Fatal(err)
		}
		m, err := c.Metagraph(ledger.At(t.Context(), yuma.Height(at)), 1)
		if err != nil {
			t.Fatal(err)
		}
		neurons := v["neurons"].([]any)
		if len(neurons) != len(m.Neurons) {
			t.Fatalf("%d neurons, want %d", len(neurons), len(m.Neurons))
		}
		for i, n := range m.Neurons {
			got := neurons[i].(map[string]any)
			if got["account"] != n.Account || fmt.Sprint(got["incentive"]) != fmt.Sprint(n.Incentive) ||
				fmt.Sprint(got["stake"]) != fmt.Sprint(uint64(n.Stake)) || fmt.Sprint(got["server_emission"]) != fmt.Sprint(uint64(n.ServerEmission)) {
				t.Errorf("neuron %d at %d is %v, want %+v", i, at, got, n)
			}
		}
	})
	t.Run("validator's yield", func(t *testing.T) {
		v := get(t, h, "/v1/validators/"+vs[0].Operator)
		apr, _ := v["apr"].(json.Number).Float64()
		if apr <= 0 || v["reward"] == json.Number("0") {
			t.Errorf("validator %v earns nothing", v)
		}
	})
	t.Run("supply", func(t *testing.T) {
		one := items(get(t, h, "/v1/supply?limit=1"))[0]
		at, _ := one["height"].(json.Number).Int64()
		want, err := c.Schedule(ledger.At(t.Context(), yuma.Height(at)))
		if err != nil || fmt.Sprint(one["supply"]) != fmt.Sprint(uint64(want.Supply)) {
			t.Errorf("supply at %d is %v, want %d, %v", at, one["supply"], want.Supply, err)
		}
	})
}

// startNode starts a chain of one validator, with one subnet.
func startNode(t testing.TB, validator, alice *wallet.Key) *chain.Node {
	t.Helper()
	home := t.TempDir()
	id, err := chain.LoadIdentity(home)
	if err != nil {
		t.Fatal(err)
	}
	p := subnet.DefaultHyperparameters()
	p.Tempo, p.WeightsRateLimit, p.ImmunityPeriod = 5, 1, 1
	doc, err := chain.Genesis(chain.GenesisOptions{
		ChainID:    "explorer-test",
		Validators: []chain.GenesisValidator{{Moniker: "v", Operator: validator.Address(), Key: id.Key}},
		Subnets: []chain.GenesisSubnet{{
			Owner: alice.Address(), Kind: "text", Name: "one", Hyperparameters: &p,
			Neurons: []chain.GenesisNeuron{{Account: validator.Address()}},
		}},
		Accounts: []chain.GenesisAccount{{Address: alice.Address(), Balance: 1000 * coin.PLX}},
	})
	if err != nil {
		t.Fatal(err)
	}
	node, err := chain.StartNode(context.WithoutCancel(t.Context()), chain.NodeConfig{
		Home: home, Genesis: doc, Local: true, BlockTime: 100 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := node.Close(); err != nil {
			t.Error(err)
		}
	})
	return node
}

// awaitPaid waits until an epoch paid the miner, and returns its height.
func awaitPaid(t *testing.T, c *ledger.Client) yuma.Height {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	for range c.Heads(ctx) {
		m, err := c.Metagraph(ctx, 1)
		if err == nil && len(m.Neurons) == 2 && m.Neurons[1].ServerEmission > 0 {
			return m.LastEpoch
		}
	}
	t.Fatal("no epoch paid the miner in three minutes")
	return 0
}

// awaitIndexed waits until the index holds a block.
func awaitIndexed(t *testing.T, x *explorer.Index, height yuma.Height) {
	t.Helper()
	for began := time.Now(); time.Since(began) < 2*time.Minute; time.Sleep(20 * time.Millisecond) {
		s, err := x.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if s.Height >= height {
			return
		}
	}
	t.Fatalf("block %d is not in the index after two minutes", height)
}

// get asks the handler.
func get(t *testing.T, h http.Handler, path string) map[string]any {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
	d := json.NewDecoder(w.Body)
	d.UseNumber()
	var v map[string]any
	if err := d.Decode(&v); err != nil || w.Code != http.StatusOK {
		t.Fatalf("%s: %d %v, %v", path, w.Code, v, err)
	}
	return v
}

// items returns the items of a page.
func items(page map[string]any) []map[string]any {
	var all []map[string]any
	for _, i := range page["items"].([]any) {
		all = append(all, i.(map[string]any))
	}
	return all
}

// BenchmarkLag is how long after the node has a block the index has it, with
// a look at the node every 20 ms: one operation is one block of 100 ms.
func BenchmarkLag(b *testing.B) {
	node := startNode(b, wallet.Derive("explorer", "v"), wallet.Derive("explorer", "alice"))
	x, err := explorer.Open(b.Context(), filepath.Join(b.TempDir(), "index.db"), nil)
	if err != nil {
		b.Fatal(err)
	}
	defer x.Close()
	ctx, stop := context.WithCancel(b.Context())
	followed := make(chan error, 1)
	go func() {
		followed <- x.Follow(ctx, ledger.New(node.GRPC(), ledger.Options{Poll: 20 * time.Millisecond}), explorer.FollowOptions{})
	}()
	var lag time.Duration
	for b.Loop() {
		height := node.Height()
		for node.Height() == height {
			time.Sleep(time.Millisecond)
		}
		began := time.Now()
		for {
			s, err := x.Status(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			if s.Height > height {
				break
			}
			time.Sleep(time.Millisecond)
		}
		lag += time.Since(began)
	}
	stop()
	if err := <-followed; err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(lag.Milliseconds())/float64(b.N), "ms-lag")
}

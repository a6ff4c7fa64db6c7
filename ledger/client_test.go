package ledger_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	sdk "github.com/cosmos/cosmos-sdk/types"
	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	subnetv1 "github.com/plexus-network/plexus/api/plexus/subnet/v1"
	"github.com/plexus-network/plexus/chain"
	"github.com/plexus-network/plexus/chain/subnet"
	"github.com/plexus-network/plexus/coin"
	"github.com/plexus-network/plexus/ledger"
	"github.com/plexus-network/plexus/wallet"
	"github.com/plexus-network/plexus/yuma"
)

const seed = "ledger test"

var (
	validator = wallet.Derive(seed, "validator")
	hotkey    = wallet.Derive(seed, "validator.hot")
	miner     = wallet.Derive(seed, "miner")
	alice     = wallet.Derive(seed, "alice")
)

// start runs a chain of one validator with two text subnets; on the second,
// weights are committed and revealed.
func start(t *testing.T, minGasPrice string) *chain.Node {
	t.Helper()
	home := t.TempDir()
	id, err := chain.LoadIdentity(home)
	if err != nil {
		t.Fatal(err)
	}
	open, hidden := subnet.DefaultHyperparameters(), subnet.DefaultHyperparameters()
	open.WeightsRateLimit, open.AxonRateLimit = 1000, 1000
	hidden.Tempo, hidden.WeightsRateLimit, hidden.CommitReveal = 50, 1, true
	neurons := []chain.GenesisNeuron{{Account: validator.Address()}, {Account: miner.Address()}}
	doc, err := chain.Genesis(chain.GenesisOptions{
		ChainID:    "ledger-test",
		Validators: []chain.GenesisValidator{{Moniker: "v", Operator: validator.Address(), Key: id.Key}},
		Subnets: []chain.GenesisSubnet{
			{Owner: alice.Address(), Kind: "text", Name: "open", Hyperparameters: &open, Neurons: neurons},
			{Owner: alice.Address(), Kind: "text", Name: "hidden", Hyperparameters: &hidden, Neurons: neurons},
		},
		Hotkeys:  []chain.GenesisHotkey{{Account: validator.Address(), Hotkey: hotkey.Address()}},
		Accounts: []chain.GenesisAccount{{Address: alice.Address(), Balance: 1000 * coin.PLX}},
	})
	if err != nil {
		t.Fatal(err)
	}
	node, err := chain.StartNode(context.WithoutCancel(t.Context()), chain.NodeConfig{
		Home: home, Genesis: doc, Local: true, BlockTime: 150 * time.Millisecond, MinGasPrice: minGasPrice,
		GRPC: "127.0.0.1:0", Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError})),
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

// wait returns a client of node once the chain has a block.
func wait(t *testing.T, node *chain.Node, o ledger.Options) *ledger.Client {
	t.Helper()
	if o.Poll == 0 {
		o.Poll = 20 * time.Millisecond
	}
	c := ledger.New(node.GRPC(), o)
	for range c.Heads(t.Context()) {
		return c
	}
	t.Fatal("no block")
	return nil
}

// wantError fails unless err says all of want.
func wantError(t *testing.T, err error, want ...string) {
	t.Helper()
	for _, w := range want {
		if err == nil || !strings.Contains(err.Error(), w) {
			t.Errorf("error %v, want one with %q", err, w)
		}
	}
}

func TestClient(t *testing.T) {
	node := start(t, "")
	c := wait(t, node, ledger.Options{})
	ctx := t.Context()

	t.Run("heads rise", func(t *testing.T) {
		var last yuma.Height
		for h := range c.Heads(ctx) {
			if h.Height <= last {
				t.Errorf("height %d after %d", h.Height, last)
			}
			hash, err := c.BlockHash(ctx, h.Height)
			if err != nil || hash != h.Hash {
				t.Errorf("hash of block %d is %x, %v, want %x", h.Height, hash, err, h.Hash)
			}
			if last = h.Height; last > 5 {
				break
			}
		}
	})
	t.Run("hashes of the past", func(t *testing.T) {
		fresh := ledger.New(node.GRPC(), ledger.Options{})
		got, err := fresh.BlockHash(ctx, 2)
		want, err2 := c.BlockHash(ctx, 2)
		if err != nil || err2 != nil || got != want {
			t.Errorf("hash of block 2 is %x and %x: %v, %v", got, want, err, err2)
		}
		if _, err := c.BlockHash(ctx, 1e6); !errors.Is(err, ledger.ErrNotFound) {
			t.Errorf("hash of the future: %v, want %v", err, ledger.ErrNotFound)
		}
	})
	t.Run("metagraph", func(t *testing.T) {
		m, err := c.Metagraph(ctx, 1)
		if err != nil {
			t.Fatal(err)
		}
		if m.Name != "open" || m.Kind != "text" || m.Owner != alice.Address() || len(m.Neurons) != 2 || m.Neurons[1].Account != miner.Address() {
			t.Errorf("metagraph %+v is not that of the genesis", m)
		}
		past, err := c.Metagraph(ledger.At(ctx, 2), 1)
		if err != nil || past.Height != 2 {
			t.Errorf("metagraph at 2: %+v, %v", past, err)
		}
		_, err = c.Metagraph(ctx, 99)
		if !errors.Is(err, ledger.ErrNotFound) {
			t.Errorf("metagraph of no subnet: %v, want %v", err, ledger.ErrNotFound)
		}
	})
	t.Run("stake", func(t *testing.T) {
		vs, err := c.Validators(ctx)
		if err != nil || len(vs) != 1 || vs[0].Account != validator.Address() || vs[0].Stake != 1000*coin.PLX || !vs[0].Bonded {
			t.Errorf("validators %+v, %v", vs, err)
		}
	})
	t.Run("schedule", func(t *testing.T) {
		s, err := c.Schedule(ctx)
		if err != nil || s.Minted != s.Scheduled || s.Cap != coin.Cap || s.Bootstrap != 1000*coin.PLX {
			t.Errorf("schedule %+v, %v", s, err)
		}
	})
	t.Run("subnets", func(t *testing.T) {
		all, err := c.Subnets(ctx)
		if err != nil || len(all) < 2 {
			t.Errorf("%d subnets, %v", len(all), err)
		}
	})
	t.Run("register", func(t *testing.T) { testRegister(t, c) })
	t.Run("weights by hotkey", func(t *testing.T) { testWeights(t, c) })
	t.Run("commit and reveal", func(t *testing.T) { testCommitReveal(t, c) })
	t.Run("mechanisms", func(t *testing.T) { testMechanism(t, c) })
	t.Run("registry", func(t *testing.T) { testRegistry(t, c) })
	t.Run("market", func(t *testing.T) { testMarket(t, c) })
	t.Run("axon", func(t *testing.T) { testAxon(t, c) })
	t.Run("own subnet", func(t *testing.T) { testSubnet(t, c) })
	t.Run("order of one account", func(t *testing.T) { testOrder(t, node, c) })
	t.Run("grants", func(t *testing.T) { testGrants(t, c) })
	t.Run("over a port", func(t *testing.T) {
		_, addr, _ := node.Addrs()
		d, err := ledger.Dial(addr, ledger.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		if id, err := d.ChainID(ctx); err != nil || id != "ledger-test" {
			t.Errorf("chain id %q, %v", id, err)
		}
		if b, err := d.Balance(ctx, alice.Address()); err != nil || b == 0 {
			t.Errorf("balance of alice is %v, %v", b, err)
		}
	})
}

func testRegister(t *testing.T, c *ledger.Client) {
	ctx := t.Context()
	q, err := c.Price(ctx, 1)
	if err != nil || q.Price < q.Floor || q.After <= q.Price {
		t.Fatalf("price %+v, %v", q, err)
	}
	_, _, err = c.RegisterNeuron(ctx, ledger.Actor{Key: alice}, 1, 1)
	wantError(t, err, "register on subnet 1", "0.000000001plx")
	var refused *ledger.TxError
	if !errors.As(err, &refused) {
		t.Errorf("%v is no TxError", err)
	}
	before, err := c.Balance(ctx, alice.Address())
	if err != nil {
		t.Fatal(err)
	}
	uid, burned, err := c.RegisterNeuron(ctx, ledger.Actor{Key: alice}, 1, coin.PLX)
	if err != nil || uid != 2 {
		t.Fatalf("uid %d, %v, want 2", uid, err)
	}
	after, err := c.Balance(ctx, alice.Address())
	if err != nil || before-after != burned || burned == 0 {
		t.Errorf("balance went from %v to %v for %v, %v", before, after, burned, err)
	}
	_, _, err = c.RegisterNeuron(ctx, ledger.Actor{Key: wallet.Derive(seed, "stranger")}, 1, coin.PLX)
	if !errors.Is(err, ledger.ErrNotFound) {
		t.Errorf("a key without an account: %v, want %v", err, ledger.ErrNotFound)
	}
}

func testWeights(t *testing.T, c *ledger.Client) {
	ctx := t.Context()
	hot := ledger.Actor{Key: hotkey, For: validator.Address()}
	row := yuma.Row{{UID: 1, Value: 65535}, {UID: 2, Value: 100}}
	if err := c.SetWeights(ctx, hot, 1, row, 0); err != nil {
		t.Fatal(err)
	}
	all, err := c.Weights(ctx, 1)
	if err != nil || len(all[0]) != 2 || all[0][1] != row[1] {
		t.Errorf("weights %v, %v, want %v of uid 0", all, err, row)
	}
	wantError(t, c.SetWeights(ctx, hot, 1, row, 0), "set weights on subnet 1", "wait", "blocks")
	wantError(t, c.SetWeights(ctx, ledger.Actor{Key: alice}, 1, row, 0), "no stake")
	wantError(t, c.SetWeights(ctx, ledger.Actor{Key: alice, For: validator.Address()}, 1, row, 0), "authorization not found")
}

func testCommitReveal(t *testing.T, c *ledger.Client) {
	ctx := t.Context()
	hot := ledger.Actor{Key: hotkey, For: validator.Address()}
	row := yuma.Row{{UID: 1, Value: 30000}} // the chain stores it scaled up
	for h := range c.Heads(ctx) {           // no epoch is to end between the commitment and the next look at it
		if m, err := c.Metagraph(ctx, 2); err != nil || m.NextEpoch >= h.Height+30 {
			break
		}
	}
	epoch, err := c.CommitWeights(ctx, hot, 2, row, 0, []byte("salt"))
	if err != nil {
		t.Fatal(err)
	}
	wantError(t, c.RevealWeights(ctx, hot, 2, row, 0, []byte("salt")), "reveal weights on subnet 2", "no commit is due")
	for range c.Heads(ctx) {
		if m, err := c.Metagraph(ctx, 2); err != nil || m.EpochNumber >= epoch {
			break
		}
	}
	if err := c.RevealWeights(ctx, hot, 2, row, 0, []byte("salt")); err != nil {
		t.Fatal(err)
	}
	all, err := c.Weights(ctx, 2)
	if want := (yuma.Entry{UID: 1, Value: 65535}); err != nil || len(all[0]) != 1 || all[0][0] != want {
		t.Errorf("weights %v, %v, want %v of uid 0", all, err, want)
	}
}

// The owner gives subnet 1 a second mechanism, and a hotkey speaks in it.
func testMechanism(t *testing.T, c *ledger.Client) {
	ctx := t.Context()
	if _, err := c.Submit(ctx, ledger.Actor{Key: alice}, &subnetv1.MsgSetMechanisms{Authority: alice.Address(), Netuid: 1, Count: 2}); err != nil {
		t.Fatal(err)
	}
	second := c.Mechanism(1)
	hot := ledger.Actor{Key: hotkey, For: validator.Address()}
	if err := second.SetWeights(ctx, hot, 1, yuma.Row{{UID: 1, Value: 7}}, 0); err != nil {
		t.Fatal(err)
	}
	m, err := second.Metagraph(ctx, 1)
	first, err2 := c.Metagraph(ctx, 1)
	if err = errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	if m.Neurons[0].LastUpdate <= first.Neurons[0].LastUpdate {
		t.Errorf("uid 0 spoke at %d in mechanism 1 and at %d in mechanism 0, want it later in 1", m.Neurons[0].LastUpdate, first.Neurons[0].LastUpdate)
	}
	wantError(t, c.Mechanism(2).SetWeights(ctx, hot, 1, yuma.Row{{UID: 1, Value: 7}}, 0), "mechanisms 0 to 1")
	// A hotkey speaks for several subnets at once, and leaves a note.
	if _, err := c.Submit(ctx, hot, &subnetv1.MsgSetCommitment{Account: validator.Address(), Netuid: 1, Data: []byte("note")}); err != nil {
		t.Error(err)
	}
	_, err = c.Submit(ctx, hot, &subnetv1.MsgSetWeightsBatch{Account: validator.Address(), Sets: []subnetv1.MsgSetWeights{{
		Account: validator.Address(), Netuid: 1, Mechanism: 1, Uids: []uint32{1}, Weights: []uint32{1},
	}}})
	wantError(t, err, "wait", "blocks") // so it may, but not so soon
}

func testAxon(t *testing.T, c *ledger.Client) {
	ctx := t.Context()
	_, raw, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := crypto.UnmarshalEd25519PrivateKey(raw)
	if err != nil {
		t.Fatal(err)
	}
	id, err := peer.IDFromPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	hot := ledger.Actor{Key: hotkey, For: validator.Address()}
	if err := c.UpdateAxon(ctx, hot, 1, id.String(), []string{"/plexus/axon/1.0.0"}, key.Sign); err != nil {
		t.Fatal(err)
	}
	if m, err := c.Metagraph(ctx, 1); err != nil || m.Neurons[0].PeerID != id.String() {
		t.Errorf("peer of uid 0 is %v, %v, want %s", m.Neurons[0].PeerID, err, id)
	}
	lie := func([]byte) ([]byte, error) { return make([]byte, 64), nil }
	wantError(t, c.UpdateAxon(ctx, hot, 2, id.String(), nil, lie), "update axon on subnet 2")
}

func testSubnet(t *testing.T, c *ledger.Client) {
	ctx := t.Context()
	owner := ledger.Actor{Key: alice}
	netuid, burned, err := c.RegisterSubnet(ctx, owner, "text", "mine", []byte("{}"), 500*coin.PLX)
	if err != nil || netuid != 3 || burned != 100*coin.PLX {
		t.Fatalf("subnet %d for %v, %v, want 3 for 100plx", netuid, burned, err)
	}
	if err := c.UpdateSubnet(ctx, owner, netuid, "", "ours", nil); err != nil {
		t.Fatal(err)
	}
	if s, err := c.Subnet(ctx, netuid); err != nil || s.Name != "ours" {
		t.Errorf("subnet %d is called %q, %v, want ours", netuid, s.Name, err)
	}
	wantError(t, c.UpdateSubnet(ctx, ledger.Actor{Key: validator}, netuid, "", "theirs", nil), "update subnet 3")
	if paid, err := c.Claim(ctx, owner); err == nil {
		t.Errorf("claimed %v of nothing", paid)
	}
	if a, err := c.Claimable(ctx, alice.Address()); err != nil || a != 0 {
		t.Errorf("claimable of alice is %v, %v, want 0", a, err)
	}
}

// Sixteen senders share one key, half of them through a client of their own
// that cannot know of the others.
func testOrder(t *testing.T, node *chain.Node, c *ledger.Client) {
	ctx := t.Context()
	other := wait(t, node, ledger.Options{})
	to := wallet.Derive(seed, "piggy")
	var wg sync.WaitGroup
	for i := range 16 {
		from := c
		if i%2 == 1 {
			from = other
		}
		wg.Go(func() {
			_, err := from.Submit(ctx, ledger.Actor{Key: alice}, &banktypes.MsgSend{
				FromAddress: alice.Address(),
				ToAddress:   to.Address(),
				Amount:      sdk.NewCoins(sdk.NewInt64Coin(coin.Denom, 1)),
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if b, err := c.Balance(ctx, to.Address()); err != nil || b != 16 {
		t.Errorf("balance is %d nplx, %v, want 16", b, err)
	}
}

func testGrants(t *testing.T, c *ledger.Client) {
	ctx := t.Context()
	hot := wallet.Derive(seed, "alice.hot")
	msgs, err := wallet.Grants(alice.Address(), hot.Address(), wallet.Allowance{Fees: coin.PLX})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Submit(ctx, ledger.Actor{Key: alice}, msgs...); err != nil {
		t.Fatal(err)
	}
	act := ledger.Actor{Key: hot, For: alice.Address()}
	// The grant lets the message through to what alice herself may not do.
	wantError(t, c.SetWeights(ctx, act, 1, yuma.Row{{UID: 0, Value: 1}}, 0), "no stake")
	if msgs, err = wallet.Revocation(alice.Address(), hot.Address(), true); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Submit(ctx, ledger.Actor{Key: alice}, msgs...); err != nil {
		t.Fatal(err)
	}
	wantError(t, c.SetWeights(ctx, act, 1, yuma.Row{{UID: 0, Value: 1}}, 0), "authorization not found")
}

func TestSubmitPaysWhatTheNodeWants(t *testing.T) {
	c := wait(t, start(t, "0.01nplx"), ledger.Options{})
	ctx := t.Context()
	before, err := c.Balance(ctx, alice.Address())
	if err != nil {
		t.Fatal(err)
	}
	r, err := c.Submit(ctx, ledger.Actor{Key: alice}, &banktypes.MsgSend{
		FromAddress: alice.Address(),
		ToAddress:   miner.Address(),
		Amount:      sdk.NewCoins(sdk.NewInt64Coin(coin.Denom, 5)),
	})
	if err != nil {
		t.Fatal(err)
	}
	after, err := c.Balance(ctx, alice.Address())
	if err != nil || r.Fee == 0 || before-after != r.Fee+5 {
		t.Errorf("balance went from %v to %v for 5 nplx and a fee of %v, %v", before, after, r.Fee, err)
	}
	if err := c.SetWeights(ctx, ledger.Actor{Key: hotkey, For: validator.Address()}, 1, yuma.Row{{UID: 1, Value: 1}}, 0); err != nil {
		t.Errorf("weights of a validator without coins: %v", err)
	}
}

func TestUnreachable(t *testing.T) {
	c, err := ledger.Dial("127.0.0.1:1", ledger.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Head(t.Context()); !errors.Is(err, ledger.ErrUnreachable) {
		t.Errorf("%v, want %v", err, ledger.ErrUnreachable)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	for h := range c.Heads(ctx) {
		t.Errorf("head %+v of no chain", h)
	}
}

package neuron

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/plexus-network/plexus/engine"
	"github.com/plexus-network/plexus/engine/local"
	"github.com/plexus-network/plexus/engine/stock"
	"github.com/plexus-network/plexus/ledger"
	"github.com/plexus-network/plexus/p2p"
	"github.com/plexus-network/plexus/subnet"
	"github.com/plexus-network/plexus/subnet/text"
	"github.com/plexus-network/plexus/subnet/text/toy"
	"github.com/plexus-network/plexus/yuma"
)

func TestMain(m *testing.M) {
	local.ServeIfAsked()
	os.Exit(m.Run())
}

// TestCheats runs a text subnet over real hosts on loopback: three honest
// miners, and one of each cheat, of which none may keep a score.
func TestCheats(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds of real time")
	}
	t.Run("toy", func(t *testing.T) {
		catchCheats(t, toy.New(toy.Options{Model: 1, Noise: 0.02}), toy.New(toy.Options{Model: 1, Drift: 1}))
	})
	t.Run("stock", func(t *testing.T) {
		catchCheats(t, openStock(t, stock.Strong), openStock(t, stock.Weak))
	})
}

// openStock opens a model that ships with Plexus, in a worker.
func openStock(t *testing.T, name string) engine.Checker {
	t.Helper()
	path, err := stock.Path(t.TempDir(), name)
	if err != nil {
		t.Skip(err)
	}
	e, err := local.Open(t.Context(), path, local.Options{Threads: 1, Command: os.Args[:1]})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Errorf("close %s: %v", name, err)
		}
	})
	return e
}

func catchCheats(t *testing.T, strong, weak engine.Checker) {
	behaviours := []text.Behaviour{
		text.Honest, text.Honest, text.Honest, text.SmallerModel, text.Canned, text.Copycat, text.Silent,
	}
	const first = 1 // uid of the first miner; 0 is the validator
	hosts := realHosts(t, first+len(behaviours))
	neurons := make([]ledger.Neuron, len(hosts))
	for i, h := range hosts {
		neurons[i] = ledger.Neuron{Account: account(i), PeerID: h.ID().String(), Incentive: 100}
	}
	neurons[0].Stake, neurons[0].Permit = 100, true
	chain := newFakeChain(20, neurons...)
	self := func(i int) Self {
		return Self{Netuid: 1, Actor: ledger.Actor{For: account(i)}, Chain: chain, Network: hosts[i]}
	}

	manifest := text.ManifestOf(strong.Model())
	w := &town{t: t}
	var services []func(context.Context) error
	for i, how := range behaviours {
		e := strong
		if how == text.SmallerModel {
			e = weak
		}
		work, err := text.Behave(how, text.New(e, manifest, text.Options{}), NewDendrite(self(first+i)).Relay)
		if err != nil {
			t.Fatal(err)
		}
		services = append(services, NewMiner(self(first+i), work, MinerOptions{}).Run)
	}
	bundles := make(chan text.Bundle, 64)
	judge := text.New(strong, manifest, text.Options{Challenge: 48, Crowd: 3, Reveal: 3 * time.Second, Fraud: func(b text.Bundle) {
		select {
		case bundles <- b:
		default:
		}
	}})
	v := NewValidator(self(0), judge, t.TempDir(), ValidatorOptions{
		Round: 250 * time.Millisecond, Timeout: 10 * time.Second, Parallel: 8, Poll: 100 * time.Millisecond,
	})
	l := w.run(append(services, v.Run)...)

	var standings []Standing
	honestTotal := 0.0
	for deadline := time.Now().Add(5 * time.Minute); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		standings, honestTotal = v.Standings(), 0
		cheatTotal, ready := 0.0, true
		for _, s := range standings {
			switch uid := int(s.Peer.UID) - first; {
			case uid < 3:
				honestTotal += s.Score
				ready = ready && s.Score > 0.5
			default:
				cheatTotal += s.Score
			}
		}
		if ready && honestTotal > 0 && cheatTotal < 0.01*honestTotal {
			break
		}
	}
	for _, s := range standings {
		uid := int(s.Peer.UID) - first
		t.Logf("uid %d %-13s score %.3f latency %v rate %.0f reason %q", s.Peer.UID, behaviours[uid], s.Score, s.Latency, s.Rate, s.LastReason)
		if uid < 3 && s.Score < 0.5 {
			t.Errorf("honest uid %d has score %v", s.Peer.UID, s.Score)
		}
		if uid >= 3 && s.Score > 0.01*honestTotal {
			t.Errorf("cheat %s has score %v", behaviours[uid], s.Score)
		}
	}

	askLikeAUser(t, v, first)
	if err := l.stop(); err != nil {
		t.Fatal(err)
	}
	close(bundles)
	convict(t, bundles, strong, hosts[first:first+3])
}

// convict checks the evidence that a validator gathered as any other would: it
// convicts cheats, cannot be altered, and there is none of honest miners.
func convict(t *testing.T, bundles <-chan text.Bundle, model engine.Checker, honest []*p2p.Host) {
	t.Helper()
	n := 0
	for b := range bundles {
		n++
		encoded, err := b.Encode()
		if err != nil {
			t.Fatal(err)
		}
		decoded, err := text.DecodeBundle(encoded)
		if err != nil {
			t.Fatal(err)
		}
		found, err := decoded.Check(t.Context(), model)
		if err != nil || !found.Guilty {
			t.Errorf("bundle against uid %d: %+v, %v; want guilty", found.UID, found, err)
		}
		for _, h := range honest {
			if found.Accused == h.ID().String() {
				t.Errorf("evidence against honest uid %d: %+v", found.UID, found)
			}
		}
		forged := decoded.Exhibits[0].Pieces
		forged[len(forged)-1] = append([]byte{0}, forged[len(forged)-1]...)
		if _, err := decoded.Check(t.Context(), model); !errors.Is(err, text.ErrNoProof) {
			t.Errorf("an altered bundle: %v, want ErrNoProof", err)
		}
	}
	if n == 0 {
		t.Error("no evidence against any cheat")
	}
	t.Logf("%d bundles", n)
}

// askLikeAUser asks an honest miner and a copycat, and has both judged.
func askLikeAUser(t *testing.T, v *Validator, honest yuma.UID) {
	t.Helper()
	body, err := text.Request{
		Messages:  []engine.Message{{Role: engine.User, Content: "Hello!"}},
		MaxTokens: 40, Temperature: 1,
	}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	streamed := 0
	good, err := v.Ask(t.Context(), honest, body, time.Minute, func(chunk []byte) error {
		chunks, err := text.DecodeChunks(chunk)
		streamed += len(chunks)
		return err
	})
	if err != nil || streamed == 0 || !good.Answer.Organic {
		t.Fatalf("Ask = %+v, %v after %d chunks", good.Answer, err, streamed)
	}
	var receipt p2p.Receipt
	if err := json.Unmarshal(good.Answer.Receipt, &receipt); err != nil || receipt.Verify() != nil || !receipt.Complete() {
		t.Errorf("receipt %s: %v, %v", good.Answer.Receipt, err, receipt.Verify())
	}
	copied, err := v.Ask(t.Context(), honest+5, body, time.Minute, nil)
	if err != nil {
		t.Fatalf("Ask of the copycat: %v", err)
	}
	scores, err := v.Judge(t.Context(), []subnet.Trial{good, copied})
	if err != nil {
		t.Fatal(err)
	}
	if scores[0].Value < 0.3 || scores[0].Units == 0 || scores[1].Value != 0 {
		t.Errorf("scores = %+v, want a good one and 0", scores)
	}
}

// realHosts makes hosts that know each other.
func realHosts(t *testing.T, n int) []*p2p.Host {
	t.Helper()
	hosts := make([]*p2p.Host, n)
	for i := range hosts {
		h, err := p2p.New(p2p.Options{Reach: p2p.Local})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := h.Close(); err != nil {
				t.Errorf("close host: %v", err)
			}
		})
		hosts[i] = h
	}
	for _, a := range hosts {
		for _, b := range hosts {
			if a != b {
				a.AddPeer(b.Info())
			}
		}
	}
	return hosts
}

package node

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	registryv1 "github.com/plexus-network/plexus/api/plexus/registry/v1"
	"github.com/plexus-network/plexus/ledger"
	"github.com/plexus-network/plexus/subnet/text"
	"github.com/plexus-network/plexus/wallet"
)

// A court is a network that is up, whose validators do their duty by
// themselves.
type court struct {
	*testing.T
	home   string
	chain  *ledger.Client
	record *network
	stop   func()
}

// convene starts the network in a home folder, or starts it again.
func convene(t *testing.T, folder string) *court {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	up, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- Up(ctx, UpOptions{
			Home: folder, Validators: 4, Miners: 1, Cheats: []text.Behaviour{text.SmallerModel},
			BlockTime: 250 * time.Millisecond, Tempo: 24, Threads: 1, Worker: os.Args[:1],
			HTTP: "127.0.0.1:0", GRPC: "127.0.0.1:0", RPC: "127.0.0.1:0", REST: "127.0.0.1:0",
			Say: func(news, _ string) {
				if news == "neurons" {
					close(up)
				}
			},
		})
	}()
	select {
	case <-up:
	case err := <-ended:
		cancel()
		t.Fatalf("the network ended: %v", err)
	case <-time.After(10 * time.Minute):
		cancel()
		t.Fatal("the network is not up after ten minutes")
	}
	config, err := ledger.ReadConfig(folder)
	if err != nil {
		t.Fatal(err)
	}
	chain, err := ledger.Dial(config.GRPC, ledger.Options{})
	if err != nil {
		t.Fatal(err)
	}
	record, err := (&home{dir: folder}).readNetwork()
	if err != nil {
		t.Fatal(err)
	}
	c := &court{T: t, home: folder, chain: chain, record: record}
	stopped := false
	c.stop = func() {
		if stopped {
			return
		}
		stopped = true
		chain.Close()
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the network ended: %v", err)
		}
	}
	t.Cleanup(c.stop)
	return c
}

// await waits until a condition holds.
func (c *court) await(what string, holds func() (bool, error)) {
	c.Helper()
	var err error
	for until := time.Now().Add(10 * time.Minute); time.Now().Before(until); time.Sleep(200 * time.Millisecond) {
		var ok bool
		if ok, err = holds(); ok {
			return
		}
	}
	c.Fatalf("not within ten minutes: %s (%v)", what, err)
}

// verdict waits for the end of a case.
func (c *court) verdict(id uint64) registryv1.Case {
	c.Helper()
	var last registryv1.Case
	c.await(fmt.Sprintf("case %d ends", id), func() (bool, error) {
		var err error
		last, _, err = c.chain.Case(c.Context(), id)
		return err == nil && last.Verdict != registryv1.Verdict_VERDICT_OPEN, err
	})
	return last
}

// member returns the member of a name with its uid.
func (c *court) member(name string) (member, int) {
	c.Helper()
	for uid, m := range c.record.Members {
		if m.Name == name {
			return m, uid
		}
	}
	c.Fatalf("the network has no %s", name)
	return member{}, 0
}

// TestValidatorsDoTheirDuty runs a network that nobody operates: the miner with
// the smaller model is reported, convicted and expelled; an honest one that is
// accused falsely is acquitted; and the seeds of audits are shown, over a
// restart too.
func TestValidatorsDoTheirDuty(t *testing.T) {
	if testing.Short() {
		t.Skip("runs a network")
	}
	c := convene(t, t.TempDir())
	c.checkConviction()
	c.checkAcquittal()
	bound := c.bound()
	c.stop()
	c = convene(t, c.home)
	c.checkAudits(bound)
}

// checkConviction waits for the cheat's conviction.
func (c *court) checkConviction() {
	c.Helper()
	cheat, uid := c.member("cheat-" + string(text.SmallerModel))
	c.await("the cheat is accused", func() (bool, error) {
		cases, err := c.chain.Cases(c.Context())
		return len(cases) > 0, err
	})
	ended := c.verdict(1)
	if ended.Miner != cheat.Account || ended.Verdict != registryv1.Verdict_VERDICT_CONVICTED {
		c.Fatalf("case %+v, want a conviction of %s", ended, cheat.Account)
	}
	graph, err := c.chain.Metagraph(c.Context(), textNetuid)
	if err != nil {
		c.Fatal(err)
	}
	if n := graph.Neurons[uid]; n.PeerID != "" || n.Claimable != 0 {
		c.Errorf("the convict still has peer %q and %v to claim", n.PeerID, n.Claimable)
	}
	_, votes, err := c.chain.Case(c.Context(), ended.Id)
	if err != nil || len(votes) < 3 {
		c.Errorf("votes %+v, %v: want those of three of four validators", votes, err)
	}
}

// checkAcquittal accuses the honest miner with what convicted the cheat, and
// with nothing, by a validator's hotkey.
func (c *court) checkAcquittal() {
	c.Helper()
	miner, uid := c.member("miner-0")
	accuser, _ := c.member("validator-3")
	ring, err := wallet.Open(wallet.Options{Home: c.home, Backend: wallet.Test})
	if err != nil {
		c.Fatal(err)
	}
	key, err := ring.Key(accuser.Name + ".hot")
	if err != nil {
		c.Fatal(err)
	}
	first, _, err := c.chain.Case(c.Context(), 1)
	if err != nil {
		c.Fatal(err)
	}
	evidence, err := c.chain.Evidence(c.Context(), first)
	if sum := sha256.Sum256(evidence); err != nil || string(sum[:]) != string(first.Bundle) {
		c.Fatalf("evidence of case 1 has %d bytes: %v", len(evidence), err)
	}
	again := append(evidence, 0x80, 0x01, 0) // a field that nobody knows: the same in other bytes
	for _, bundle := range [][]byte{again, []byte("nothing")} {
		var id uint64
		c.await("a validator may report", func() (bool, error) {
			id, _, err = c.chain.ReportFraud(c.Context(), ledger.Actor{Key: key, For: accuser.Account}, textNetuid, miner.Account, [32]byte(first.Manifest), bundle)
			return err == nil, err
		})
		if ended := c.verdict(id); ended.Verdict != registryv1.Verdict_VERDICT_ACQUITTED {
			c.Errorf("case %+v, want an acquittal", ended)
		}
	}
	graph, err := c.chain.Metagraph(c.Context(), textNetuid)
	if err != nil || graph.Neurons[uid].PeerID != miner.PeerID {
		c.Errorf("the honest miner is %+v, %v", graph.Neurons[uid], err)
	}
}

// bound waits until every validator is bound to a seed that it has not shown,
// and returns the epochs of these by account.
func (c *court) bound() map[string][]uint64 {
	c.Helper()
	all := map[string][]uint64{}
	for _, m := range c.record.Members {
		if m.Role != validatorRole {
			continue
		}
		c.await(m.Name+" commits to a seed", func() (bool, error) {
			audits, err := c.chain.Audits(c.Context(), textNetuid, m.Account)
			all[m.Account] = nil
			for _, a := range audits {
				if len(a.Seed) == 0 {
					all[m.Account] = append(all[m.Account], a.Epoch)
				}
			}
			return len(all[m.Account]) > 0, err
		})
	}
	return all
}

// checkAudits waits until the validators have shown the seeds that they were
// bound to before the restart, and one more that they committed to after it,
// and checks that none was missed.
func (c *court) checkAudits(bound map[string][]uint64) {
	c.Helper()
	for account, epochs := range bound {
		epochs = append(epochs, slices.Max(epochs)+1)
		c.await(account+" shows its seeds", func() (bool, error) {
			audits, err := c.chain.Audits(c.Context(), textNetuid, account)
			shown := 0
			for _, a := range audits {
				if slices.Contains(epochs, a.Epoch) && len(a.Seed) > 0 {
					shown++
				}
			}
			return shown == len(epochs), err
		})
		did, err := c.chain.Conduct(c.Context(), textNetuid, account)
		if err != nil || did.Missed != 0 || int(did.Revealed) < len(epochs) {
			c.Errorf("%s: %+v, %v; want no seed missed", account, did, err)
		}
	}
}

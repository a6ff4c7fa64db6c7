package duty

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"
	"slices"
	"testing"
	"time"

	neuronv1 "github.com/plexus-network/plexus/api/plexus/neuron/v1"
	registryv1 "github.com/plexus-network/plexus/api/plexus/registry/v1"
	"github.com/plexus-network/plexus/engine"
	"github.com/plexus-network/plexus/ledger"
	"github.com/plexus-network/plexus/p2p"
	"github.com/plexus-network/plexus/subnet"
	"github.com/plexus-network/plexus/subnet/text"
	"github.com/plexus-network/plexus/subnet/text/toy"
	"github.com/plexus-network/plexus/yuma"
)

// declared is the model of the tests' subnet, smaller what a cheat runs.
var (
	declared = toy.Options{Model: 1}
	smaller  = toy.Options{Model: 1, Drift: 1}
)

// A fakeChain keeps what validators tell it, by the registry's rules.
type fakeChain struct {
	tempo     yuma.Height
	now       yuma.Height
	neurons   []ledger.Neuron
	params    []byte
	audits    []registryv1.Audit
	cases     []registryv1.Case
	votes     []registryv1.Vote
	bundles   map[uint64][]byte
	reported  map[string]int64
	manifests map[[32]byte][]byte
	dropped   bool  // the node has no blocks any more
	deaf      error // what messages end in, though they are taken in
}

func newFakeChain() *fakeChain {
	return &fakeChain{
		tempo: 10, now: 1, params: text.ManifestOf(toy.New(declared).Model()).JSON(),
		bundles: map[uint64][]byte{}, reported: map[string]int64{}, manifests: map[[32]byte][]byte{},
	}
}

// hash is the hash of a block.
func (c *fakeChain) hash(h yuma.Height) [32]byte { return sha256.Sum256(fmt.Append(nil, h)) }

func (c *fakeChain) Heads(context.Context) iter.Seq[ledger.Head] {
	return func(func(ledger.Head) bool) {}
}

func (c *fakeChain) BlockHash(_ context.Context, h yuma.Height) ([32]byte, error) {
	if c.dropped {
		return [32]byte{}, ledger.ErrNotFound
	}
	return c.hash(h), nil
}

func (c *fakeChain) Metagraph(context.Context, yuma.Netuid) (*ledger.Metagraph, error) {
	return &ledger.Metagraph{
		Netuid: 1, KindParams: c.params, Tempo: c.tempo, NextEpoch: (c.now/c.tempo + 1) * c.tempo,
		Neurons: slices.Clone(c.neurons),
	}, nil
}

func (c *fakeChain) permitted(account string) error {
	if i := slices.IndexFunc(c.neurons, func(n ledger.Neuron) bool { return n.Account == account }); i < 0 || !c.neurons[i].Permit {
		return &ledger.TxError{Log: "no permit"}
	}
	return nil
}

func (c *fakeChain) Audits(_ context.Context, _ yuma.Netuid, account string) ([]registryv1.Audit, error) {
	var all []registryv1.Audit
	for _, a := range c.audits {
		if a.Account == account {
			all = append(all, a)
		}
	}
	return all, nil
}

func (c *fakeChain) CommitAudit(_ context.Context, a ledger.Actor, _ yuma.Netuid, epoch uint64, hash [32]byte) (from, before yuma.Height, err error) {
	if err := c.permitted(a.Account()); err != nil {
		return 0, 0, err
	}
	if now := uint64(c.now / c.tempo); epoch < now || epoch > now+4 {
		return 0, 0, &ledger.TxError{Log: fmt.Sprintf("epoch %d, it is %d", epoch, now)}
	}
	for _, k := range c.audits {
		if k.Account == a.Account() && k.Epoch == epoch {
			return 0, 0, &ledger.TxError{Log: "committed to already"}
		}
	}
	ends := int64(epoch+1) * int64(c.tempo)
	c.audits = append(c.audits, registryv1.Audit{
		Netuid: 1, Account: a.Account(), Epoch: epoch, Hash: hash[:], Committed: int64(c.now), Ends: ends, Due: ends + 2*int64(c.tempo),
	})
	return yuma.Height(ends), yuma.Height(ends) + 2*c.tempo, c.deaf
}

func (c *fakeChain) RevealAudit(_ context.Context, a ledger.Actor, _ yuma.Netuid, epoch uint64, seed [32]byte) error {
	for i, k := range c.audits {
		if k.Account != a.Account() || k.Epoch != epoch {
			continue
		}
		if hash := text.AuditHash(seed); len(k.Seed) > 0 || int64(c.now) < k.Ends || int64(c.now) >= k.Due || !bytes.Equal(hash[:], k.Hash) {
			return &ledger.TxError{Log: fmt.Sprintf("seed of epoch %d at %d: %+v", epoch, c.now, k)}
		}
		c.audits[i].Seed = seed[:]
		return c.deaf
	}
	return &ledger.TxError{Log: "no commitment"}
}

func (c *fakeChain) CasesAfter(_ context.Context, after uint64) ([]registryv1.Case, error) {
	var newer []registryv1.Case
	for _, k := range slices.Backward(c.cases) {
		if k.Id > after {
			newer = append(newer, k)
		}
	}
	return newer, nil
}

func (c *fakeChain) Case(_ context.Context, id uint64) (registryv1.Case, []registryv1.Vote, error) {
	if id == 0 || int(id) > len(c.cases) {
		return registryv1.Case{}, nil, ledger.ErrNotFound
	}
	return c.cases[id-1], c.votes, nil
}

func (c *fakeChain) Evidence(_ context.Context, of registryv1.Case) ([]byte, error) {
	if c.dropped {
		return nil, ledger.ErrNotFound
	}
	return c.bundles[of.Id], nil
}

func (c *fakeChain) VoteFraud(_ context.Context, a ledger.Actor, id uint64, guilty bool) (registryv1.Verdict, error) {
	c.votes = append(c.votes, registryv1.Vote{Case: id, Account: a.Account(), Guilty: guilty})
	return registryv1.Verdict_VERDICT_OPEN, nil
}

func (c *fakeChain) RegistryParams(context.Context) (registryv1.Params, error) {
	return registryv1.Params{VotingPeriod: 100, ReportInterval: 10}, nil
}

func (c *fakeChain) Conduct(_ context.Context, _ yuma.Netuid, account string) (registryv1.Conduct, error) {
	return registryv1.Conduct{Reported: c.reported[account]}, nil
}

func (c *fakeChain) Manifest(_ context.Context, hash [32]byte) ([]byte, error) {
	if body, ok := c.manifests[hash]; ok {
		return body, nil
	}
	return nil, ledger.ErrNotFound
}

func (c *fakeChain) RegisterManifest(_ context.Context, _ ledger.Actor, body []byte) ([32]byte, error) {
	hash := sha256.Sum256(body)
	c.manifests[hash] = body
	return hash, nil
}

func (c *fakeChain) ReportFraud(_ context.Context, a ledger.Actor, netuid yuma.Netuid, miner string, manifest [32]byte, bundle []byte) (uint64, yuma.Height, error) {
	hash := sha256.Sum256(bundle)
	i := slices.IndexFunc(c.neurons, func(n ledger.Neuron) bool { return n.Account == miner })
	switch {
	case i < 0, c.manifests[manifest] == nil, len(bundle) > 128<<10:
		return 0, 0, &ledger.TxError{Log: "refused"}
	case c.reported[a.Account()] > 0 && c.reported[a.Account()]+10 > int64(c.now):
		return 0, 0, &ledger.TxError{Log: "wait"}
	}
	for _, k := range c.cases {
		if k.Miner == miner && k.Verdict == registryv1.Verdict_VERDICT_OPEN || bytes.Equal(k.Bundle, hash[:]) {
			return 0, 0, &ledger.TxError{Log: "open already, or evidence before"}
		}
	}
	id := uint64(len(c.cases)) + 1
	c.cases = append(c.cases, registryv1.Case{
		Id: id, Netuid: uint32(netuid), Miner: miner, Uid: uint32(i), Since: int64(c.neurons[i].Registered), Reporter: a.Account(),
		Manifest: manifest[:], Bundle: hash[:], Height: int64(c.now), Deadline: int64(c.now) + 100, Verdict: registryv1.Verdict_VERDICT_OPEN,
	})
	c.bundles[id], c.reported[a.Account()] = bundle, int64(c.now)
	return id, c.now + 100, c.deaf
}

// end ends a case.
func (c *fakeChain) end(id uint64, v registryv1.Verdict) { c.cases[id-1].Verdict = v }

// opinions is a judge whose mind a test makes up.
type opinions map[yuma.UID]text.Opinion

func (o opinions) Opinion(uid yuma.UID) text.Opinion { return o[uid] }
func (o opinions) Suspect(uid yuma.UID) {
	if o[uid] == text.Trusted {
		o[uid] = text.Undecided
	}
}
func (o opinions) Pace(uint64) {}

// A world is a chain with validators and miners: uids 0 and 1 are validators,
// 2 is an honest miner and 3 one that runs a smaller model.
type world struct {
	*testing.T
	chain  *fakeChain
	hosts  []*p2p.Host
	engine engine.Checker
	mind   opinions
	models map[yuma.UID]toy.Options // that miners run
}

const (
	honest yuma.UID = 2
	cheat  yuma.UID = 3
)

func newWorld(t *testing.T) *world {
	w := &world{
		T: t, chain: newFakeChain(), engine: toy.New(declared), mind: opinions{},
		models: map[yuma.UID]toy.Options{honest: declared, cheat: smaller},
	}
	for i := range 4 {
		h, err := p2p.New(p2p.Options{Reach: p2p.Local})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { h.Close() })
		w.hosts = append(w.hosts, h)
		w.chain.neurons = append(w.chain.neurons, ledger.Neuron{
			UID: yuma.UID(i), Account: fmt.Sprintf("plx1account%d", i), PeerID: h.ID().String(), Registered: 2, Permit: i < 2,
		})
	}
	w.serve(honest)
	w.serve(cheat)
	w.chain.now = 20
	return w
}

// serve makes a host a miner.
func (w *world) serve(uid yuma.UID) {
	w.hosts[0].AddPeer(w.hosts[uid].Info())
	w.hosts[uid].Serve("task", func(ctx context.Context, r p2p.Request, reply func([]byte) error) error {
		t, err := taskOf(r.Body)
		if err != nil {
			return err
		}
		work := text.New(toy.New(w.models[uid]), text.ManifestOf(toy.New(declared).Model()), text.Options{Flush: -1})
		t.Validator.PeerID, t.Miner.PeerID = r.From.String(), w.hosts[uid].ID().String()
		return work.Work(ctx, t, reply)
	})
}

func taskOf(body []byte) (subnet.Task, error) {
	var m neuronv1.Task
	if err := m.Unmarshal(body); err != nil || len(m.Id) != 16 || len(m.BlockHash) != 32 {
		return subnet.Task{}, errors.New("no task")
	}
	return subnet.Task{
		ID: subnet.TaskID(m.Id), Netuid: yuma.Netuid(m.Netuid), Miner: subnet.Peer{UID: yuma.UID(m.Miner)},
		Height: yuma.Height(m.Height), BlockHash: [32]byte(m.BlockHash), Body: m.Body, Timeout: time.Minute,
	}, nil
}

// ask gives a miner n questions in the name of validator 0, at a height, and
// returns what proves its answers.
func (w *world) ask(uid yuma.UID, n, tokens int, at yuma.Height, hash [32]byte) text.Bundle {
	w.Helper()
	manifest := text.ManifestOf(w.engine.Model())
	b := text.Bundle{Manifest: manifest}
	for i := range n {
		request, err := text.Request{
			Messages:  []engine.Message{{Role: engine.User, Content: fmt.Sprintf("question %d", i)}},
			MaxTokens: tokens, Temperature: 1,
		}.Encode()
		if err != nil {
			w.Fatal(err)
		}
		m := neuronv1.Task{
			Id: bytes.Repeat([]byte{byte(i + 1)}, 16), Netuid: 1, Miner: uint32(uid), Height: uint64(at), BlockHash: hash[:],
			TimeoutMs: 60_000, Body: request,
		}
		asked, err := m.Marshal()
		if err != nil {
			w.Fatal(err)
		}
		x := text.Exhibit{Asked: asked}
		x.Receipt, err = w.hosts[0].Call(w.Context(), w.hosts[uid].ID(), "task", asked, func(piece []byte) error {
			x.Pieces = append(x.Pieces, bytes.Clone(piece))
			return nil
		})
		if err != nil {
			w.Fatal(err)
		}
		b.Exhibits = append(b.Exhibits, x)
	}
	return b
}

// caught is a bundle that convicts the cheat.
func (w *world) caught() text.Bundle { return w.ask(cheat, 3, 64, 12, w.chain.hash(12)) }

// duty is that of a validator with a folder of evidence.
func (w *world) duty(validator int, folder text.Folder) *Duty {
	w.Helper()
	secret, err := folder.Secret()
	if err != nil {
		w.Fatal(err)
	}
	d, err := New(Options{
		Chain: w.chain, Actor: ledger.Actor{For: w.chain.neurons[validator].Account}, Netuid: 1, Params: w.chain.params,
		Engine: w.engine, Judge: w.mind, Folder: folder, Secret: secret,
	})
	if err != nil {
		w.Fatal(err)
	}
	return d
}

func encoded(t *testing.T, b text.Bundle) []byte {
	t.Helper()
	raw, err := b.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

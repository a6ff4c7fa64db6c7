package neuron

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/plexus-network/plexus/ledger"
	"github.com/plexus-network/plexus/p2p"
	"github.com/plexus-network/plexus/subnet"
	"github.com/plexus-network/plexus/yuma"
)

// fakeChain makes a block every second and an epoch every tempo blocks.
type fakeChain struct {
	start time.Time
	tempo yuma.Height

	mu       sync.Mutex
	graph    ledger.Metagraph // neurons and parameters; heights are filled in
	down     bool
	axons    int
	sets     []said
	commits  []said
	reveals  []said
	refuse   error // returned by the next SetWeights, CommitWeights or RevealWeights
	fetches  int
	branches byte // part of all hashes
}

// said is weights that a validator sent.
type said struct {
	account string
	height  yuma.Height
	epoch   uint64
	row     yuma.Row
	hash    [32]byte
}

func newFakeChain(tempo yuma.Height, neurons ...ledger.Neuron) *fakeChain {
	c := &fakeChain{start: time.Now(), tempo: tempo}
	for i, n := range neurons {
		n.UID = yuma.UID(i)
		if n.Registered == 0 {
			n.Registered = 1
		}
		c.graph.Neurons = append(c.graph.Neurons, n)
	}
	c.graph.Netuid, c.graph.Tempo, c.graph.Kind = 1, tempo, "quiz"
	return c
}

func (c *fakeChain) height() yuma.Height { return 1 + yuma.Height(time.Since(c.start)/time.Second) }

func (c *fakeChain) epoch() uint64 { return uint64(c.height() / c.tempo) }

var errDown = errors.New("chain is down")

func (c *fakeChain) hash(h yuma.Height) [32]byte {
	return sha256.Sum256([]byte{c.branches, byte(h), byte(h >> 8)})
}

func (c *fakeChain) Head(context.Context) (ledger.Head, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.down {
		return ledger.Head{}, errDown
	}
	h := c.height()
	return ledger.Head{Height: h, Hash: c.hash(h), Time: time.Now()}, nil
}

func (c *fakeChain) BlockHash(_ context.Context, h yuma.Height) ([32]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if h > c.height() {
		return [32]byte{}, ledger.ErrNotFound
	}
	return c.hash(h), nil
}

func (c *fakeChain) Metagraph(_ context.Context, netuid yuma.Netuid) (*ledger.Metagraph, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.down || netuid != c.graph.Netuid {
		return nil, errDown
	}
	c.fetches++
	g := c.graph
	g.Neurons = slices.Clone(g.Neurons)
	g.Height, g.EpochNumber = c.height(), c.epoch()
	g.LastEpoch = yuma.Height(g.EpochNumber) * c.tempo
	g.NextEpoch = g.LastEpoch + c.tempo
	return &g, nil
}

func (c *fakeChain) change(f func(g *ledger.Metagraph)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f(&c.graph)
}

func (c *fakeChain) UpdateAxon(_ context.Context, a ledger.Actor, _ yuma.Netuid, peerID string, _ []string, _ func([]byte) ([]byte, error)) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.axons++
	for i, n := range c.graph.Neurons {
		if n.Account == a.For {
			c.graph.Neurons[i].PeerID = peerID
		}
	}
	return nil
}

// speak is what all transactions with weights do.
func (c *fakeChain) speak(a ledger.Actor, row yuma.Row) (said, error) {
	if err := c.refuse; err != nil {
		c.refuse = nil
		return said{}, err
	}
	for i, n := range c.graph.Neurons {
		if n.Account == a.For {
			c.graph.Neurons[i].LastUpdate = c.height()
		}
	}
	return said{account: a.For, height: c.height(), epoch: c.epoch(), row: row}, nil
}

func (c *fakeChain) SetWeights(_ context.Context, a ledger.Actor, _ yuma.Netuid, row yuma.Row, _ uint64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, err := c.speak(a, row)
	if err == nil {
		c.sets = append(c.sets, s)
	}
	return err
}

func rowHash(row yuma.Row, version uint64, salt []byte) [32]byte {
	b := binary.BigEndian.AppendUint64(yuma.AppendRow(nil, row), version)
	return sha256.Sum256(append(b, salt...))
}

func (c *fakeChain) CommitWeights(_ context.Context, a ledger.Actor, _ yuma.Netuid, row yuma.Row, version uint64, salt []byte) (uint64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, err := c.speak(a, row)
	if err != nil {
		return 0, err
	}
	s.hash = rowHash(row, version, salt)
	c.commits = append(c.commits, s)
	return s.epoch + uint64(c.graph.RevealEpochs), nil
}

func (c *fakeChain) RevealWeights(_ context.Context, a ledger.Actor, _ yuma.Netuid, row yuma.Row, version uint64, salt []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, err := c.speak(a, row)
	if err != nil {
		return err
	}
	s.hash = rowHash(row, version, salt)
	for _, k := range c.commits {
		if k.hash == s.hash && k.epoch+uint64(c.graph.RevealEpochs) == s.epoch {
			c.reveals = append(c.reveals, s)
			return nil
		}
	}
	return &ledger.TxError{Log: "no such commit is due"}
}

// fakeNet connects fake hosts in memory.
type fakeNet struct {
	mu    sync.Mutex
	hosts map[peer.ID]*fakeHost
}

type fakeHost struct {
	net      *fakeNet
	id       peer.ID
	handle   map[string]p2p.Handler
	policies map[string][]p2p.Policy
}

// testID returns the n-th peer id.
func testID(n int) peer.ID {
	seed := sha256.Sum256(fmt.Appendf(nil, "peer %d", n))
	key, err := crypto.UnmarshalEd25519PrivateKey(ed25519.NewKeyFromSeed(seed[:]))
	if err != nil {
		panic(err)
	}
	id, err := peer.IDFromPrivateKey(key)
	if err != nil {
		panic(err)
	}
	return id
}

func (n *fakeNet) host(i int) *fakeHost {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.hosts == nil {
		n.hosts = map[peer.ID]*fakeHost{}
	}
	h := &fakeHost{net: n, id: testID(i), handle: map[string]p2p.Handler{}, policies: map[string][]p2p.Policy{}}
	n.hosts[h.id] = h
	return h
}

func (h *fakeHost) ID() peer.ID { return h.id }

func (h *fakeHost) Serve(method string, handle p2p.Handler, policies ...p2p.Policy) {
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	h.handle[method], h.policies[method] = handle, policies
}

// Call runs the handler as a real host does: the end of ctx cancels it, and
// errors that are not refusals stay private.
func (h *fakeHost) Call(ctx context.Context, to peer.ID, method string, body []byte, onPiece func([]byte) error) (p2p.Receipt, error) {
	h.net.mu.Lock()
	other := h.net.hosts[to]
	h.net.mu.Unlock()
	if other == nil {
		return p2p.Receipt{}, p2p.ErrUnreachable
	}
	h.net.mu.Lock()
	handle, policies := other.handle[method], other.policies[method]
	h.net.mu.Unlock()
	if handle == nil {
		return p2p.Receipt{}, &p2p.Refused{Code: p2p.UnknownMethod}
	}
	r := p2p.Request{From: h.id, Method: method, Body: bytes.Clone(body)}
	for _, p := range policies {
		if err := p(ctx, r); err != nil {
			return p2p.Receipt{}, err
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var mine error
	err := handle(ctx, r, func(piece []byte) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if mine = onPiece(bytes.Clone(piece)); mine != nil {
			cancel()
		}
		return mine
	})
	_, refused := errors.AsType[*p2p.Refused](err)
	switch {
	case mine != nil:
		return p2p.Receipt{}, mine
	case err == nil || refused:
		return p2p.Receipt{}, err
	case ctx.Err() != nil:
		return p2p.Receipt{}, ctx.Err()
	default:
		return p2p.Receipt{}, &p2p.Refused{Code: p2p.Internal}
	}
}

// quiz is a kind whose right answer is a hash. What a miner does about it is
// its behave: "" is honest.
type quiz struct {
	behave string
	takes  time.Duration

	mu      sync.Mutex
	Rejects map[yuma.UID]int
}

func newQuiz(behave string) *quiz {
	return &quiz{behave: behave, takes: 50 * time.Millisecond, Rejects: map[yuma.UID]int{}}
}

func (q *quiz) Kind() string { return "quiz" }

func (q *quiz) Challenge(context.Context) ([]byte, error) {
	b := make([]byte, 16)
	rand.Read(b)
	return b, nil
}

func solve(t subnet.Task) []byte {
	h := sha256.Sum256(slices.Concat([]byte(t.Validator.PeerID), []byte(t.Miner.PeerID), t.ID[:], t.BlockHash[:], t.Body))
	return h[:]
}

func (q *quiz) Work(ctx context.Context, t subnet.Task, emit func([]byte) error) error {
	if bytes.Equal(t.Body, []byte("bad")) {
		return fmt.Errorf("%w: it is bad", subnet.ErrBadTask)
	}
	right := solve(t)
	switch q.behave {
	case "silent":
		<-ctx.Done()
		return ctx.Err()
	case "broken":
		return errors.New("a secret went wrong")
	case "cheat":
		right = make([]byte, 32)
	}
	if !pause(ctx, q.takes) {
		return ctx.Err()
	}
	if err := emit(right[:16]); err != nil {
		return err
	}
	return emit(right[16:])
}

func (q *quiz) Score(_ context.Context, trials []subnet.Trial) ([]subnet.Score, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	scores := make([]subnet.Score, len(trials))
	for i, t := range trials {
		switch {
		case t.Answer.Err != nil:
			scores[i].Reason = t.Answer.Err.Error()
		case bytes.Equal(t.Answer.Body, solve(t.Task)):
			scores[i] = subnet.Score{Value: 1, Units: 32}
		default:
			q.Rejects[t.Task.Miner.UID]++
			scores[i] = subnet.Score{Reject: true, Reason: "wrong"}
		}
	}
	return scores, nil
}

func (q *quiz) Forget(uid yuma.UID) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.Rejects, uid)
}

func (q *quiz) Snapshot() ([]byte, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return json.Marshal(q.Rejects)
}

func (q *quiz) Restore(b []byte) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.Rejects = map[yuma.UID]int{}
	if b == nil {
		return nil
	}
	return json.Unmarshal(b, &q.Rejects)
}

// town is a subnet on one fake chain: neuron i has account "plx<i>" and the
// i-th peer id.
type town struct {
	t     testing.TB
	chain *fakeChain
	net   *fakeNet
}

func newTown(t testing.TB, tempo yuma.Height, stakes ...uint64) *town {
	neurons := make([]ledger.Neuron, len(stakes))
	for i, s := range stakes {
		neurons[i] = ledger.Neuron{Account: account(i), PeerID: testID(i).String(), Stake: amount(s), Permit: s > 0}
	}
	return &town{t: t, chain: newFakeChain(tempo, neurons...), net: new(fakeNet)}
}

func account(i int) string { return fmt.Sprintf("plx%d", i) }

func (w *town) self(i int) Self {
	return Self{Netuid: 1, Actor: ledger.Actor{For: account(i)}, Chain: w.chain, Network: w.net.host(i)}
}

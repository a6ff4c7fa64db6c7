package text

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	neuronv1 "github.com/plexus-network/plexus/api/plexus/neuron/v1"
	textv1 "github.com/plexus-network/plexus/api/plexus/text/v1"
	"github.com/plexus-network/plexus/engine"
	"github.com/plexus-network/plexus/p2p"
	"github.com/plexus-network/plexus/subnet"
	"github.com/plexus-network/plexus/yuma"
)

// Bounds of a bundle.
const (
	maxBundle   = 4 << 20 // bytes of an encoded bundle
	maxExhibits = 64
)

// A Bundle is the evidence that a miner did not run the declared model: signed
// exchanges that, replayed by whoever has the model, convict it. A chain needs
// to keep no more than its Hash, and the votes of those who checked it.
//
// The accuser chooses which exchanges to show, so a bundle proves what was said
// and not how often: of n honest answers the worst k may carry up to about
// k·ln(n/k) nats of evidence. Voters weigh it with what they see themselves.
type Bundle struct {
	Manifest Manifest
	Exhibits []Exhibit // oldest first; 1 to 64, of one accuser and one accused
}

// Exhibit is one exchange with the accused, as its receipt proves it.
type Exhibit struct {
	Asked   []byte   // the signed request's body
	Pieces  [][]byte // the signed answer's pieces
	Receipt p2p.Receipt
}

// exhibitOf is the exhibit that a trial makes; ok is false where the exchange
// left nothing that proves it.
func exhibitOf(a subnet.Answer) (x Exhibit, ok bool) {
	if a.Asked == nil || json.Unmarshal(a.Receipt, &x.Receipt) != nil || x.Receipt.Request == nil {
		return x, false
	}
	x.Asked = a.Asked
	body := a.Body
	for _, n := range a.Cuts {
		if n > len(body) {
			return x, false
		}
		x.Pieces, body = append(x.Pieces, body[:n]), body[n:]
	}
	return x, len(body) == 0
}

func (x Exhibit) size() int {
	n := len(x.Asked) + 1024
	for _, p := range x.Pieces {
		n += len(p) + 4
	}
	return n
}

// Encode returns the bundle's bytes, the same for the same bundle, or
// [ErrMalformed].
func (b Bundle) Encode() ([]byte, error) {
	m := textv1.Bundle{Manifest: b.Manifest.JSON()}
	for i, x := range b.Exhibits {
		receipt, err := json.Marshal(x.Receipt)
		if err != nil {
			return nil, fmt.Errorf("%w: receipt %d: %w", ErrMalformed, i, err)
		}
		m.Exhibits = append(m.Exhibits, textv1.Exhibit{Asked: x.Asked, Pieces: x.Pieces, Receipt: receipt})
	}
	if n := m.Size(); n > maxBundle || len(b.Exhibits) == 0 || len(b.Exhibits) > maxExhibits {
		return nil, fmt.Errorf("%w: a bundle of %d bytes and %d exhibits, at most %d and 1 to %d are allowed",
			ErrMalformed, n, len(b.Exhibits), maxBundle, maxExhibits)
	}
	return m.Marshal()
}

// BundleHash names an encoded bundle.
func BundleHash(encoded []byte) [32]byte {
	return sha256.Sum256(append([]byte("plexus/text/bundle/v1"), encoded...))
}

// DecodeBundle is the inverse of [Bundle.Encode]. It checks the form and no
// signature; the error wraps [ErrMalformed].
func DecodeBundle(encoded []byte) (Bundle, error) {
	if len(encoded) > maxBundle {
		return Bundle{}, fmt.Errorf("%w: a bundle of %d bytes, at most %d are allowed", ErrMalformed, len(encoded), maxBundle)
	}
	var m textv1.Bundle
	if err := m.Unmarshal(encoded); err != nil {
		return Bundle{}, fmt.Errorf("%w: bundle: %w", ErrMalformed, err)
	}
	if len(m.Exhibits) == 0 || len(m.Exhibits) > maxExhibits {
		return Bundle{}, fmt.Errorf("%w: a bundle of %d exhibits, 1 to %d are allowed", ErrMalformed, len(m.Exhibits), maxExhibits)
	}
	manifest, err := ParseManifest(m.Manifest)
	if err != nil {
		return Bundle{}, fmt.Errorf("%w: bundle: %w", ErrMalformed, err)
	}
	b := Bundle{Manifest: manifest}
	for i, x := range m.Exhibits {
		var r p2p.Receipt
		if err := json.Unmarshal(x.Receipt, &r); err != nil {
			return Bundle{}, fmt.Errorf("%w: receipt %d: %w", ErrMalformed, i, err)
		}
		b.Exhibits = append(b.Exhibits, Exhibit{Asked: x.Asked, Pieces: x.Pieces, Receipt: r})
	}
	return b, nil
}

// Cut returns the bundle with no more exhibits than fit into most bytes once
// encoded: those that weigh most for their size, by the shares of its Finding.
// ok is false where what fits does not reach [RejectAt].
func (b Bundle) Cut(shares []float64, most int) (cut Bundle, ok bool) {
	order := make([]int, len(b.Exhibits))
	for i := range order {
		order[i] = i
	}
	dense := func(i int) float64 { return shares[i] / float64(b.Exhibits[i].size()) }
	slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(dense(j), dense(i)) })
	var kept []int
	evidence := 0.0
	for _, i := range order {
		with := b.only(append(slices.Clone(kept), i))
		if encoded, err := with.Encode(); err == nil && len(encoded) <= most {
			kept, evidence = append(kept, i), evidence+shares[i]
		}
	}
	return b.only(kept), evidence >= RejectAt
}

// only returns the bundle with the exhibits of some indices, oldest first.
func (b Bundle) only(indices []int) Bundle {
	slices.Sort(indices)
	cut := Bundle{Manifest: b.Manifest}
	for _, i := range indices {
		cut.Exhibits = append(cut.Exhibits, b.Exhibits[i])
	}
	return cut
}

// A Finding is what checking a bundle found.
type Finding struct {
	Netuid   yuma.Netuid `json:"netuid"`
	UID      yuma.UID    `json:"uid"`     // of the accused
	Accused  string      `json:"accused"` // peer id
	Accuser  string      `json:"accuser"` // peer id
	Exhibits int         `json:"exhibits"`
	Tokens   int         `json:"tokens"`   // looked at
	Evidence float64     `json:"evidence"` // Λ, in nats
	Guilty   bool        `json:"guilty"`   // whether the evidence reaches [RejectAt]
	Reasons  []string    `json:"reasons"`  // what was found, one per exhibit
	From, To yuma.Height `json:"-"`        // of the blocks that the exchanges are bound to

	Shares []float64                `json:"-"` // of the evidence, one per exhibit
	Blocks map[yuma.Height][32]byte `json:"-"` // that the exchanges say they are bound to, by their hashes
}

// ErrNoProof means that a bundle's exchanges are not proven by its receipts, or
// are such that nobody can judge them.
var ErrNoProof = errors.New("text: the bundle proves nothing")

// Check replays a bundle on an engine that runs its manifest's model. The
// caller compares the manifest with the one on chain. The error wraps
// [ErrNoProof] where the fault is the bundle's, and not this engine's.
func (b Bundle) Check(ctx context.Context, checker engine.Checker) (Finding, error) {
	if err := b.Manifest.Verify(checker.Model()); err != nil {
		return Finding{}, err
	}
	m := New(checker, b.Manifest, Options{})
	var f Finding
	seen := map[p2p.Digest]bool{}
	for i, x := range b.Exhibits {
		t, err := x.trial()
		if err != nil {
			return Finding{}, fmt.Errorf("%w: exhibit %d: %w", ErrNoProof, i, err)
		}
		if err := f.admit(t.Task, seen[x.Receipt.Hash()]); err != nil {
			return Finding{}, fmt.Errorf("%w: exhibit %d: %w", ErrNoProof, i, err)
		}
		seen[x.Receipt.Hash()] = true
		found, err := m.Examine(ctx, t)
		if errors.Is(err, ErrUnclear) || errors.Is(err, engine.ErrTooLong) || errors.Is(err, engine.ErrRequest) {
			return Finding{}, fmt.Errorf("%w: exhibit %d: %w", ErrNoProof, i, err)
		}
		if err != nil {
			return Finding{}, fmt.Errorf("exhibit %d: %w", i, err)
		}
		f.add(b.Manifest, found)
	}
	f.Guilty = f.Evidence >= RejectAt
	return f, nil
}

// admit takes in one more exchange, which must be new and between the same.
func (f *Finding) admit(t subnet.Task, again bool) error {
	if again {
		return errors.New("it is shown twice")
	}
	if f.Exhibits == 0 {
		f.Netuid, f.UID, f.Accused, f.Accuser = t.Netuid, t.Miner.UID, t.Miner.PeerID, t.Validator.PeerID
		f.From, f.To = t.Height, t.Height
		f.Blocks = map[yuma.Height][32]byte{}
	}
	if hash, known := f.Blocks[t.Height]; known && hash != t.BlockHash {
		return fmt.Errorf("it is bound to another block %d than one before it", t.Height)
	}
	f.Blocks[t.Height] = t.BlockHash
	if t.Netuid != f.Netuid || t.Miner.PeerID != f.Accused || t.Validator.PeerID != f.Accuser {
		return fmt.Errorf("it is of miner %s asked by %s on subnet %d, the first of %s asked by %s on %d",
			t.Miner.PeerID, t.Validator.PeerID, t.Netuid, f.Accused, f.Accuser, f.Netuid)
	}
	f.From, f.To = min(f.From, t.Height), max(f.To, t.Height)
	return nil
}

func (f *Finding) add(m Manifest, x Examination) {
	evidence := m.Weigh(x)
	f.Exhibits++
	f.Tokens += x.Tokens()
	f.Evidence += evidence
	f.Shares = append(f.Shares, evidence)
	reason := x.Broken
	if reason == "" {
		if reason = x.note(); reason == "" {
			reason = "all tokens are the model's"
		}
		if m.distant(x) {
			reason += fmt.Sprintf("; log-probabilities are %.2f away", x.Distance)
		}
	}
	f.Reasons = append(f.Reasons, fmt.Sprintf("%s (%+.1f nats)", reason, evidence))
}

// trial is the exchange, after its receipt has proven it.
func (x Exhibit) trial() (subnet.Trial, error) {
	if err := x.Receipt.VerifyBodies(x.Asked, x.Pieces); err != nil {
		return subnet.Trial{}, err
	}
	if !x.Receipt.Complete() {
		return subnet.Trial{}, errors.New("the miner did not finish this answer")
	}
	var m neuronv1.Task
	if err := m.Unmarshal(x.Asked); err != nil {
		return subnet.Trial{}, fmt.Errorf("its request is no task: %w", err)
	}
	if len(m.Id) != len(subnet.TaskID{}) || len(m.BlockHash) != 32 || m.Netuid > 0xFFFF || m.Miner > 0xFFFF {
		return subnet.Trial{}, errors.New("its request is no task")
	}
	validator, err := peer.IDFromBytes(x.Receipt.Request.Caller)
	if err != nil {
		return subnet.Trial{}, err
	}
	miner, err := peer.IDFromBytes(x.Receipt.Request.Receiver)
	if err != nil {
		return subnet.Trial{}, err
	}
	t := subnet.Trial{Task: subnet.Task{
		ID: subnet.TaskID(m.Id), Netuid: yuma.Netuid(m.Netuid),
		Validator: subnet.Peer{PeerID: validator.String()},
		Miner:     subnet.Peer{UID: yuma.UID(m.Miner), PeerID: miner.String()},
		Height:    yuma.Height(m.Height), BlockHash: [32]byte(m.BlockHash), Body: m.Body,
		Timeout: time.Duration(m.TimeoutMs) * time.Millisecond,
	}}
	for _, p := range x.Pieces {
		t.Answer.Body = append(t.Answer.Body, p...)
	}
	return t, nil
}

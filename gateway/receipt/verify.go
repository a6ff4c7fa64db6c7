package receipt

import (
	"encoding/json"
	"fmt"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/plexus-network/plexus/p2p"
)

// A Record is a receipt with all that belongs to it: what a gateway answers to
// GET /v1/receipts/{id}.
type Record struct {
	ID       string          `json:"id"`
	Receipt  json.RawMessage `json:"receipt"` // the envelope's payload, to be read
	Envelope Envelope        `json:"envelope"`
	Proof    *Proof          `json:"proof"` // null until the epoch is sealed
}

// Decode reads a record, or a bare envelope, from a file's bytes. It checks no
// signature.
func Decode(b []byte) (Record, error) {
	var rec Record
	if len(b) > MaxFile {
		return rec, fmt.Errorf("%w: %d bytes, at most %d are allowed", ErrMalformed, len(b), MaxFile)
	}
	if err := json.Unmarshal(b, &rec); err != nil {
		return rec, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if rec.Envelope.PayloadType == "" {
		if err := json.Unmarshal(b, &rec.Envelope); err != nil {
			return rec, fmt.Errorf("%w: %w", ErrMalformed, err)
		}
	}
	if len(rec.Envelope.Payload) == 0 {
		return rec, fmt.Errorf("%w: there is no envelope with a payload in it", ErrMalformed)
	}
	if rec.Proof != nil && len(rec.Proof.Path) > maxPath {
		return rec, fmt.Errorf("%w: a path of %d hashes, at most %d are allowed", ErrMalformed, len(rec.Proof.Path), maxPath)
	}
	return rec, nil
}

// A Finding is what [Verify] found out about a receipt, in words.
type Finding struct {
	ID     string   `json:"id"`
	Signer string   `json:"signer"` // address of the key that signed; empty if the signature is bad
	Valid  bool     `json:"valid"`  // nothing failed
	Proved []string `json:"proved"`
	Failed []string `json:"failed"`
	Open   []string `json:"open"` // what the file alone cannot prove
}

// Known is what a verifier knows beside the file. The zero value is nothing.
type Known struct {
	Text   *string // of the answer
	Hotkey string  // address of the validator's hotkey, as by the chain
	Root   *Hash   // of the receipt's epoch, as by the chain
}

// Verify checks all of a record that can be checked offline.
func Verify(rec Record, known Known) Finding {
	f := Finding{ID: rec.ID, Proved: []string{}, Failed: []string{}, Open: []string{}}
	r, signer, err := rec.Envelope.Open()
	if err != nil {
		f.failed("the envelope: %v", err)
		f.Valid = false
		return f
	}
	f.ID, f.Signer = r.ID, signer
	f.signed(rec, r, known)
	f.answered(r, known)
	for _, m := range r.Miners {
		f.exchanged(r, m)
	}
	f.ranked(r)
	f.sealed(rec, known)
	if r.Kind == Open {
		f.open("which model answered: subnet %d declares none, and pays for good answers whoever gives them", r.Netuid)
	} else {
		f.open("that the miners ran the declared model: the validator's verdicts say so, and any validator can check again with the prompt")
	}
	f.Valid = len(f.Failed) == 0
	return f
}

func (f *Finding) proved(format string, args ...any) {
	f.Proved = append(f.Proved, fmt.Sprintf(format, args...))
}

func (f *Finding) failed(format string, args ...any) {
	f.Failed = append(f.Failed, fmt.Sprintf(format, args...))
}

func (f *Finding) open(format string, args ...any) {
	f.Open = append(f.Open, fmt.Sprintf(format, args...))
}

// signed checks who signed.
func (f *Finding) signed(rec Record, r Receipt, known Known) {
	f.check(r.Validator.Hotkey == f.Signer, "the receipt is signed by the hotkey %s that it names", f.Signer)
	if rec.ID != "" {
		f.check(rec.ID == r.ID, "the record and the receipt have the same id")
	}
	if !none(rec.Receipt) {
		var shown Receipt
		err := json.Unmarshal(rec.Receipt, &shown)
		a, _ := json.Marshal(shown)
		b, _ := json.Marshal(r)
		f.check(err == nil && string(a) == string(b), "the receipt that is shown is the one that is signed")
	}
	if known.Hotkey == "" {
		f.open("that %s is a hotkey of validator %s (uid %d of subnet %d): the chain %s says", f.Signer, r.Validator.Account, r.Validator.UID, r.Netuid, r.ChainID)
		return
	}
	f.check(known.Hotkey == f.Signer, "the signer is the hotkey %s that you named", known.Hotkey)
}

// answered checks the answer against the hashes.
func (f *Finding) answered(r Receipt, known Known) {
	if known.Text == nil {
		f.open("that a text you have is the one with the hash %s: give it with --text", r.Text)
		return
	}
	f.check(Text(*known.Text) == r.Text, "the text of %d bytes is the one that was answered", len(*known.Text))
}

// check files a statement under proved or failed.
func (f *Finding) check(holds bool, format string, args ...any) {
	if holds {
		f.proved(format, args...)
		return
	}
	f.failed("not true: "+format, args...)
}

// exchanged checks a miner's own signature.
func (f *Finding) exchanged(r Receipt, m Miner) {
	if none(m.Exchange) {
		if m.Chosen {
			f.open("what miner %d said: it signed nothing that is in the receipt", m.UID)
		}
		return
	}
	var x p2p.Receipt
	if err := json.Unmarshal(m.Exchange, &x); err != nil {
		f.failed("the exchange with miner %d cannot be read: %v", m.UID, err)
		return
	}
	if err := x.Verify(); err != nil {
		f.failed("the exchange with miner %d: %v", m.UID, err)
		return
	}
	caller, receiver := peer.ID(x.Request.Caller).String(), peer.ID(x.Request.Receiver).String()
	method := fmt.Sprintf("subnet/%d/task", r.Netuid)
	switch {
	case receiver != m.PeerID:
		f.failed("the exchange with miner %d is signed by peer %s, not by its %s", m.UID, receiver, m.PeerID)
	case caller != r.Validator.PeerID:
		f.failed("the exchange with miner %d was begun by peer %s, not by the validator's %s", m.UID, caller, r.Validator.PeerID)
	case x.Request.Method != method:
		f.failed("the exchange with miner %d is about %q, not %q", m.UID, x.Request.Method, method)
	case x.Complete():
		f.proved("miner %d, peer %s, was asked by the validator and signed its whole answer in %d pieces", m.UID, receiver, x.Response.Sequence+1)
	default:
		f.proved("miner %d, peer %s, was asked by the validator and signed its answer up to piece %d", m.UID, receiver, x.Response.Sequence+1)
	}
}

// sealed checks the way to the root.
func (f *Finding) sealed(rec Record, known Known) {
	if rec.Proof == nil {
		f.open("that the receipt is in the tree of an epoch: it was not sealed yet when the file was made")
		return
	}
	if err := rec.Proof.Verify(rec.Envelope.Leaf()); err != nil {
		f.failed("%v", err)
		return
	}
	f.proved("the receipt is leaf %d of the %d of epoch %d, whose root is %s", rec.Proof.Index, rec.Proof.Size, rec.Proof.Epoch, rec.Proof.Root)
	if known.Root == nil {
		f.open("that the validator published the root %s for epoch %d: its commitment on chain says", rec.Proof.Root, rec.Proof.Epoch)
		return
	}
	f.check(*known.Root == rec.Proof.Root, "the root is the %s that you named", known.Root)
}

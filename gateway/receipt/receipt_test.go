package receipt

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/plexus-network/plexus/gateway/store"
	"github.com/plexus-network/plexus/gateway/store/storetest"
	"github.com/plexus-network/plexus/p2p"
	"github.com/plexus-network/plexus/wallet"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }

var hotkey = wallet.Derive("receipt", "validator.hot")

// exchange has one peer ask another and returns what both signed.
func exchange(t testing.TB) (validator, miner string, signed json.RawMessage) {
	t.Helper()
	var hosts [2]*p2p.Host
	for i := range hosts {
		h, err := p2p.New(p2p.Options{Reach: p2p.Local})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { h.Close() })
		hosts[i] = h
	}
	hosts[0].AddPeer(hosts[1].Info())
	hosts[1].Serve("subnet/1/task", func(_ context.Context, _ p2p.Request, send func([]byte) error) error {
		return errors.Join(send([]byte("Par")), send([]byte("is")))
	})
	r, err := hosts[0].Call(t.Context(), hosts[1].ID(), "subnet/1/task", []byte("capital of France?"), func([]byte) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return hosts[0].ID().String(), hosts[1].ID().String(), b
}

// sample is a receipt whose exchange is real.
func sample(t testing.TB) Receipt {
	t.Helper()
	validator, miner, signed := exchange(t)
	score := 0.97
	tokens := Tokens([]int32{80, 97, 114, 105, 115})
	return Receipt{
		Version: Version, ID: "rcpt_1", Request: "req_1", Created: 1_700_000_000, ChainID: "plexus-test", Model: "toy",
		Netuid: 1, Height: 42, Strategy: "best", Why: "the only accepted answer of 2 miners",
		Validator: Validator{UID: 0, Account: "plx1v", Hotkey: hotkey.Address(), PeerID: validator},
		Prompt:    MessagesPrompt([]Message{{"user", "What is the capital of France?"}}),
		Output:    Output{Tokens: &tokens, Text: Text("Paris")},
		Usage:     Usage{9, 5, 14},
		Miners: []Miner{
			{UID: 4, Account: "plx1m", PeerID: miner, Task: &Task{ID: strings.Repeat("ab", 16), Height: 42}, Score: &score, Verdict: "accepted", Chosen: true, Exchange: signed},
			{UID: 5, Account: "plx1n", PeerID: "12D3n", Verdict: "failed", Reason: "it did not answer in time"},
		},
	}
}

func seal(t testing.TB, r Receipt) Record {
	t.Helper()
	e, err := Sign(r, hotkey)
	if err != nil {
		t.Fatal(err)
	}
	return Record{ID: r.ID, Receipt: e.Payload, Envelope: e}
}

func TestVerify(t *testing.T) {
	r := sample(t)
	rec := seal(t, r)
	others := []Hash{leaf([]byte("a")), rec.Envelope.Leaf(), leaf([]byte("b"))}
	rec.Proof = &Proof{Epoch: 3, Root: root(others), Index: 1, Size: 3, Path: path(others, 1)}
	text := "Paris"
	top := root(others)
	f := Verify(rec, Known{Text: &text, Hotkey: hotkey.Address(), Root: &top})
	if !f.Valid || len(f.Failed) != 0 || len(f.Proved) != 8 || f.Signer != hotkey.Address() {
		t.Fatalf("found %+v", f)
	}
	if f := Verify(rec, Known{}); !f.Valid || len(f.Open) != 4 {
		t.Errorf("with nothing known: %+v", f)
	}
	wrong := "London"
	for name, bad := range map[string]struct {
		rec   Record
		known Known
		want  string
	}{
		"another text":   {rec, Known{Text: &wrong}, "the text of 6 bytes"},
		"another hotkey": {rec, Known{Hotkey: "plx1other"}, "plx1other"},
		"another root":   {rec, Known{Root: &Hash{}}, "root"},
		"another record": {Record{ID: "rcpt_2", Envelope: rec.Envelope}, Known{}, "same id"},
		"another proof":  {Record{Envelope: rec.Envelope, Proof: &Proof{Size: 1, Root: top}}, Known{}, "does not lead"},
		"shown changed": {
			Record{Receipt: bytes.Replace(rec.Receipt, []byte("accepted"), []byte("rejected"), 1), Envelope: rec.Envelope},
			Known{},
			"shown",
		},
		"payload changed": {changed(rec, func(e *Envelope) {
			e.Payload = bytes.Replace(e.Payload, []byte("plexus-test"), []byte("plexus-best"), 1)
		}), Known{}, "signature"},
		"type changed":   {changed(rec, func(e *Envelope) { e.PayloadType = "text/plain" }), Known{}, "payload is"},
		"key changed":    {changed(rec, func(e *Envelope) { e.PublicKey = wallet.Derive("", "x").PubKey().Bytes() }), Known{}, "signature"},
		"miner swapped":  {seal(t, with(r, func(r *Receipt) { r.Miners[0].PeerID = "12D3other" })), Known{}, "not by its"},
		"caller swapped": {seal(t, with(r, func(r *Receipt) { r.Validator.PeerID = "12D3other" })), Known{}, "was begun by"},
		"subnet swapped": {seal(t, with(r, func(r *Receipt) { r.Netuid = 2 })), Known{}, "subnet/1/task"},
		"hotkey swapped": {seal(t, with(r, func(r *Receipt) { r.Validator.Hotkey = "plx1other" })), Known{}, "names"},
		"exchange changed": {
			seal(t, with(r, func(r *Receipt) {
				r.Miners[0].Exchange = bytes.Replace(r.Miners[0].Exchange, []byte(`"sequence":2`), []byte(`"sequence":1`), 1)
			})), Known{}, "exchange with miner 4",
		},
		"later version": {seal(t, with(r, func(r *Receipt) { r.Version = 3 })), Known{}, "version 3"},
	} {
		f := Verify(bad.rec, bad.known)
		if f.Valid || len(f.Failed) == 0 || !strings.Contains(strings.Join(f.Failed, "\n"), bad.want) {
			t.Errorf("%s: failed %q, want %q", name, f.Failed, bad.want)
		}
	}
}

func changed(rec Record, f func(*Envelope)) Record {
	rec.Receipt, rec.Proof = nil, nil
	f(&rec.Envelope)
	return rec
}

func with(r Receipt, f func(*Receipt)) Receipt {
	r.Miners = slices.Clone(r.Miners)
	f(&r)
	return r
}

func TestPromptsOfDifferentFormsDiffer(t *testing.T) {
	seen := map[Hash]string{}
	for name, h := range map[string]Hash{
		"text":        TextPrompt("ab"),
		"tokens":      TokensPrompt([]int32{'a', 'b'}),
		"one":         MessagesPrompt([]Message{{"user", "ab"}}),
		"two":         MessagesPrompt([]Message{{"user", "a"}, {"user", "b"}}),
		"moved bound": MessagesPrompt([]Message{{"usera", "b"}}),
		"empty":       MessagesPrompt(nil),
	} {
		if other, ok := seen[h]; ok {
			t.Errorf("%s and %s have one hash", name, other)
		}
		seen[h] = name
	}
}

// press keeps what is published.
type press struct {
	roots []Root
	err   error
}

func (p *press) Publish(_ context.Context, roots []Root) error {
	if p.err == nil {
		p.roots = append(p.roots, roots...)
	}
	return p.err
}

func TestArchive(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		p := &press{err: ErrLater}
		a := NewArchive(db, Options{Key: hotkey, ChainID: "plexus-test", Publisher: p})
		b := NewArchive(db, Options{Key: hotkey, ChainID: "plexus-test", Publisher: p})
		if _, err := a.Read(t.Context(), "rcpt_none"); !errors.Is(err, ErrNotFound) {
			t.Errorf("no receipt: %v", err)
		}
		if sealed, err := a.Seal(t.Context(), 1); sealed || err != nil {
			t.Errorf("an epoch without receipts is sealed: %v, %v", sealed, err)
		}
		ids := []string{"rcpt_a", "rcpt_b", "rcpt_c"}
		for _, id := range ids {
			if err := a.File(t.Context(), Receipt{ID: id, Model: "toy"}); err != nil {
				t.Fatal(err)
			}
		}
		if rec, err := b.Read(t.Context(), "rcpt_a"); err != nil || rec.Proof != nil || !Verify(rec, Known{Hotkey: hotkey.Address()}).Valid {
			t.Errorf("before the epoch ends: %+v, %v", rec, err)
		}
		done := make(chan bool, 2)
		for _, x := range []*Archive{a, b} {
			go func() {
				sealed, err := x.Seal(t.Context(), 2)
				if err != nil {
					t.Error(err)
				}
				done <- sealed
			}()
		}
		if first, second := <-done, <-done; first == second {
			t.Errorf("two gateways seal an epoch: %v and %v, want one", first, second)
		}
		if err := b.File(t.Context(), Receipt{ID: "rcpt_late"}); err != nil {
			t.Fatal(err)
		}
		for i, id := range ids {
			rec, err := b.Read(t.Context(), id)
			if err != nil || rec.Proof == nil || rec.Proof.Epoch != 2 || rec.Proof.Index != uint64(i) || rec.Proof.Size != 3 {
				t.Fatalf("%s: %+v, %v", id, rec.Proof, err)
			}
			if f := Verify(rec, Known{}); !f.Valid || len(f.Proved) != 4 {
				t.Errorf("%s: %+v", id, f)
			}
		}
		if err := a.publish(t.Context()); !errors.Is(err, ErrLater) {
			t.Errorf("too soon: %v", err)
		}
		if sealed, err := a.Seal(t.Context(), 5); !sealed || err != nil {
			t.Fatalf("the late one: %v, %v", sealed, err)
		}
		p.err = nil
		for range 2 {
			if err := b.publish(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if len(p.roots) != 2 || p.roots[0].Epoch != 2 || p.roots[0].Receipts != 3 || p.roots[1].Epoch != 5 {
			t.Errorf("published %+v, want epochs 2 and 5, once each", p.roots)
		}
		old := NewArchive(db, Options{Key: hotkey, Keep: -time.Hour})
		if err := old.Prune(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := a.Read(t.Context(), "rcpt_a"); !errors.Is(err, ErrNotFound) {
			t.Errorf("after its time: %v", err)
		}
		if roots, err := a.Roots(t.Context()); err != nil || len(roots) != 2 || roots[0].Epoch != 5 {
			t.Errorf("roots %+v, %v; they stay", roots, err)
		}
	})
}

func TestRunSealsWhatEnds(t *testing.T) {
	db := storetest.Open(t, t.TempDir()+"/g.db")
	ctx, stop := context.WithCancel(t.Context())
	p := &press{}
	epoch, looked := uint64(7), 0
	a := NewArchive(db, Options{Key: hotkey, Publisher: p, Poll: time.Millisecond, Epoch: func(context.Context) (uint64, error) {
		looked++
		switch looked {
		case 1:
			return epoch, fileOne(db, "rcpt_x")
		case 2:
			return 0, errors.New("the chain is silent")
		case 3:
			return epoch + 1, nil
		default:
			stop()
			return epoch + 1, nil
		}
	}})
	if err := a.Run(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
	if len(p.roots) != 1 || p.roots[0].Epoch != 7 {
		t.Errorf("published %+v, want epoch 7", p.roots)
	}
	synctest.Test(t, func(t *testing.T) { // without a chain it only waits
		ctx, stop := context.WithTimeout(t.Context(), time.Hour)
		defer stop()
		if err := NewArchive(db, Options{Key: hotkey}).Run(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("ended with %v", err)
		}
	})
}

// fileOne files a receipt.
func fileOne(db *store.DB, id string) error {
	return NewArchive(db, Options{Key: hotkey}).File(context.Background(), Receipt{ID: id})
}

func FuzzDecode(f *testing.F) {
	e, err := Sign(Receipt{Version: Version, ID: "rcpt_1", Miners: []Miner{{Exchange: json.RawMessage(`{"request":{},"response":{}}`)}}}, hotkey)
	if err != nil {
		f.Fatal(err)
	}
	bare, _ := json.Marshal(e)
	whole, _ := json.Marshal(Record{ID: "rcpt_1", Envelope: e, Proof: &Proof{Size: 1, Root: e.Leaf(), Path: []Hash{}}})
	f.Add(bare)
	f.Add(whole)
	f.Add([]byte(`{"envelope":null,"proof":{"path":["00"]}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		rec, err := Decode(b)
		if err != nil {
			return
		}
		found := Verify(rec, Known{})
		if found.Valid && found.Signer == "" {
			t.Errorf("valid without a signer: %+v", found)
		}
	})
}

func FuzzReceipt(f *testing.F) {
	b, _ := json.Marshal(Receipt{Version: Version, ID: "rcpt_1", Miners: []Miner{{Exchange: json.RawMessage(`{"request":{"caller":"AAAA"},"response":{"refusal":{}}}`)}}})
	f.Add(b)
	b, _ = json.Marshal(polled())
	f.Add(b)
	f.Fuzz(func(t *testing.T, payload []byte) {
		signature, err := hotkey.Sign(statement(PayloadType, payload))
		if err != nil {
			t.Fatal(err)
		}
		Verify(Record{Envelope: Envelope{payload, PayloadType, hotkey.PubKey().Bytes(), signature}}, Known{})
	})
}

package text

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/cryptotest"
	"time"

	"github.com/plexus-network/plexus/engine"
	"github.com/plexus-network/plexus/subnet"
	"github.com/plexus-network/plexus/subnet/text/toy"
)

// TestAuditCanBeChecked follows a validator over two epochs.
func TestAuditCanBeChecked(t *testing.T) {
	e := toy.New(declared)
	var shown []Audit
	b := benchOn(t, e, Options{
		Tempo: 10, AuditMax: 0.5, Secret: [32]byte{9}, Audited: func(a Audit) { shown = append(shown, a) },
	})
	v := b.validator
	committed := v.AuditCommitment(0)
	for range 40 {
		b.score(b.ask(miner(declared), 1)) // at height 7
	}
	if _, err := v.Audit(0); err == nil {
		t.Error("the audit of the running epoch is shown")
	}
	later := task(1, must(Request{Prompt: "later", MaxTokens: 5}.Encode()))
	later.Height = 12
	next := subnet.Trial{Task: later}
	next.Answer.Err = miner(declared).Work(t.Context(), later, func(c []byte) error {
		next.Answer.Body = append(next.Answer.Body, c...)
		return nil
	})
	b.score(next)
	a, err := v.Audit(0)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Verify(committed); err != nil {
		t.Errorf("Verify: %v", err)
	}
	checked := 0
	for _, d := range a.Draws {
		if d.Checked {
			checked++
		}
	}
	if len(a.Draws) < 35 || checked < 8 || checked > 32 {
		t.Errorf("%d of %d answers checked, want about half", checked, len(a.Draws))
	}
	if len(shown) != 1 || len(shown[0].Draws) != len(a.Draws) {
		t.Errorf("%d audits shown", len(shown))
	}
	spared := a
	spared.Draws = append([]Draw(nil), a.Draws...)
	spared.Draws[3].Checked = !spared.Draws[3].Checked
	if err := spared.Verify(committed); !errors.Is(err, ErrUnfair) {
		t.Errorf("a spared answer: %v, want ErrUnfair", err)
	}
	other := a
	other.Seed[0]++
	if err := other.Verify(committed); !errors.Is(err, ErrUnfair) {
		t.Errorf("another seed: %v, want ErrUnfair", err)
	}
	if again := New(e, ManifestOf(e.Model()), Options{Secret: [32]byte{9}, Tempo: 10}); again.AuditCommitment(0) != committed {
		t.Error("after a restart the commitment is another")
	}
}

func TestFolder(t *testing.T) {
	f := Folder{Path: filepath.Join(t.TempDir(), "evidence"), Most: 3}
	secret, err := f.Secret()
	if err != nil {
		t.Fatal(err)
	}
	if again, err := f.Secret(); err != nil || again != secret || secret == [32]byte{} {
		t.Errorf("secret %x, then %x, %v", secret, again, err)
	}
	for epoch := range uint64(6) {
		if err := f.KeepAudit(Audit{Epoch: epoch}); err != nil {
			t.Fatal(err)
		}
		old := time.Now().Add(time.Duration(epoch)*time.Minute - time.Hour)
		if err := os.Chtimes(filepath.Join(f.Path, "epoch-"+string(rune('0'+epoch))+auditSuffix), old, old); err != nil {
			t.Fatal(err)
		}
	}
	kept, err := filepath.Glob(filepath.Join(f.Path, "*"+auditSuffix))
	if err != nil || len(kept) != 3 || !strings.Contains(kept[2], "epoch-5") {
		t.Errorf("kept %v, %v; want the newest 3", kept, err)
	}
	if err := os.WriteFile(filepath.Join(f.Path, secretName), []byte("?"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Secret(); err == nil {
		t.Error("a damaged secret is taken")
	}
}

// unscored is an engine that cannot score, as a plain server.
type unscored struct {
	*toy.Engine
	most int // alternatives that it gives
}

func (u unscored) Score(_ context.Context, prompt, continuation []engine.Token) ([]engine.TokenScore, error) {
	return nil, engine.ErrUnsupported
}

func (u unscored) Chat(ctx context.Context, r engine.ChatRequest, emit func(engine.Delta) error) (engine.Usage, error) {
	if r.TopCount > u.most {
		return engine.Usage{}, engine.ErrRequest
	}
	return u.Engine.Chat(ctx, r, emit)
}

// TestSpotChecks judges by a server that only makes tokens.
func TestSpotChecks(t *testing.T) {
	for _, most := range []int{engine.MaxTop, 20, 5} {
		b := benchOn(t, unscored{toy.New(declared), most}, Options{AuditMin: 1})
		v := b.validator
		o := declared
		o.Noise = 0.03
		if rejected, tokens := b.run(miner(o), 1, 60); rejected || v.records[1].State != trusted {
			t.Errorf("with %d alternatives, after %d tokens an honest miner is %+v", most, tokens, v.records[1])
		}
		o = declared
		o.Drift = 1
		if rejected, tokens := b.run(miner(o), 2, 60); !rejected {
			t.Errorf("with %d alternatives, after %d tokens a smaller model is %+v", most, tokens, v.records[2])
		}
	}
}

func TestBlindEngineJudgesNobody(t *testing.T) {
	b := benchOn(t, unscored{toy.New(declared), 0}, Options{})
	trial := b.ask(miner(declared), 1)
	if _, err := b.validator.Score(t.Context(), []subnet.Trial{trial}); err == nil {
		t.Error("no error of an engine that tells nothing")
	}
}

// TestSurprisal draws tokens by the model's own likelihoods, and by another's.
func TestSurprisal(t *testing.T) {
	cryptotest.SetGlobalRandom(t, 1)
	judge := toy.New(declared)
	z := func(o toy.Options) Surprisal {
		var sum Surprisal
		m := New(toy.New(o), ManifestOf(judge.Model()), Options{Flush: -1})
		v := New(judge, ManifestOf(judge.Model()), Options{})
		v.manifest.Sampler = AnySampler
		for i := range 60 {
			body := must(Request{Prompt: strings.Repeat("x", i+1), MaxTokens: 60, Temperature: 1}.Encode())
			b := &bench{t: t, validator: v, now: epoch0}
			x, err := v.Examine(t.Context(), b.askFor(m, 1, body))
			if err != nil || x.Broken != "" || len(x.Margins) != 0 {
				t.Fatalf("examination %+v, %v", x, err)
			}
			sum.Join(x.Surprise)
		}
		return sum
	}
	if s := z(declared); s.Tokens < alarmTokens || s.alarming() {
		t.Errorf("the model's own tokens surprise it by Z = %.1f in %d tokens", s.Z(), s.Tokens)
	}
	o := declared
	o.Drift = 1.5
	if s := z(o); !s.alarming() {
		t.Errorf("another's tokens surprise it by Z = %.1f in %d tokens only", s.Z(), s.Tokens)
	}
	if z := (Surprisal{}).Z(); z != 0 || math.IsNaN(z) {
		t.Errorf("Z of nothing = %v", z)
	}
}

// TestAnySamplerChallengesCold makes challenges that any server's answer can be
// compared in.
func TestAnySamplerChallengesCold(t *testing.T) {
	cryptotest.SetGlobalRandom(t, 1)
	e := toy.New(declared)
	m := ManifestOf(e.Model())
	m.Sampler = AnySampler
	v := New(e, m, Options{})
	for range 50 {
		r, err := DecodeRequest(must(v.Challenge(t.Context())))
		if err != nil || r.Temperature != 0 {
			t.Fatalf("challenge %+v, %v", r, err)
		}
	}
	b := &bench{t: t, validator: v, now: epoch0}
	work := New(toy.New(declared), m, Options{Flush: -1})
	if rejected, _ := b.run(work, 1, 20); rejected {
		t.Error("an honest miner is rejected")
	}
	own, err := Behave(OwnLuck, work, nil)
	if err != nil {
		t.Fatal(err)
	}
	if rejected, _ := b.run(own, 2, 20); rejected {
		t.Error("luck of its own is what this manifest allows")
	}
}

// The chain reckons the same hash: the constant stands in its tests too
// (chain/fraud_test.go).
func TestAuditHashIsTheChains(t *testing.T) {
	const want = "d05db71c534741c9ad163501c9c7fb7c45082c56b46650a65b980ca5cf0b5fae"
	hash := AuditHash(sha256.Sum256([]byte("secret")))
	if got := hex.EncodeToString(hash[:]); got != want {
		t.Errorf("the commitment to the seed SHA-256(secret) is %s, want %s", got, want)
	}
}

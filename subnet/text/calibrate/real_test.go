package calibrate_test

import (
	"context"
	"encoding/binary"
	"math"
	"testing"
	"time"

	"github.com/plexus-network/plexus/engine"
	"github.com/plexus-network/plexus/engine/stock"
	"github.com/plexus-network/plexus/subnet"
	"github.com/plexus-network/plexus/subnet/text"
	"github.com/plexus-network/plexus/subnet/text/calibrate"
	"github.com/plexus-network/plexus/yuma"
)

// stockModel opens a model that ships.
func stockModel(t *testing.T, name string) engine.Checker {
	t.Helper()
	path, err := stock.Path(t.TempDir(), name)
	if err != nil {
		t.Skip(err)
	}
	e, err := open(t.Context(), path, calibrate.Shape{Sessions: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// blind is an engine that cannot score, as a plain server.
type blind struct{ engine.Checker }

func (blind) Score(context.Context, []engine.Token, []engine.Token) ([]engine.TokenScore, error) {
	return nil, engine.ErrUnsupported
}

// exchange lets a miner answer a request or, where there is none, a challenge.
func exchange(t *testing.T, v, m *text.Mechanism, uid yuma.UID, n int, r *text.Request) subnet.Trial {
	t.Helper()
	body, err := v.Challenge(t.Context())
	if r != nil {
		body, err = r.Encode()
	}
	if err != nil {
		t.Fatal(err)
	}
	trial := subnet.Trial{Task: subnet.Task{
		Netuid: 1, Validator: subnet.Peer{PeerID: "validator"}, Miner: subnet.Peer{UID: uid, PeerID: "miner"},
		Height: 1, Body: body, Timeout: time.Hour,
	}}
	binary.BigEndian.PutUint32(trial.Task.ID[:], uint32(n)<<8|uint32(uid))
	err = m.Work(t.Context(), trial.Task, func(b []byte) error {
		trial.Answer.Body = append(trial.Answer.Body, b...)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	trial.Answer.Total, trial.Answer.Received = time.Second, time.Unix(int64(n), 0)
	return trial
}

// TestSpotsOnRealModels judges by an engine that cannot score prompts.
func TestSpotsOnRealModels(t *testing.T) {
	strong, weak := stockModel(t, stock.Strong), stockModel(t, stock.Weak)
	manifest := text.ManifestOf(strong.Model())
	v := text.New(blind{strong}, manifest, text.Options{AuditMin: 1, Challenge: 32, Seed: [32]byte{1}})
	for uid, e := range []engine.Checker{strong, weak} {
		m := text.New(e, manifest, text.Options{Flush: -1})
		rejected := false
		for n := 0; n < 25 && !rejected; n++ {
			s, err := v.Score(t.Context(), []subnet.Trial{exchange(t, v, m, yuma.UID(uid), n, nil)})
			if err != nil {
				t.Fatal(err)
			}
			if rejected = s[0].Reject; rejected {
				t.Logf("uid %d is rejected after %d answers: %s", uid, n+1, s[0].Reason)
			}
		}
		if rejected != (uid == 1) {
			t.Errorf("uid %d rejected: %v, want the smaller model alone", uid, rejected)
		}
	}
}

// TestSurprisalOnRealModels lets miners answer with luck of their own.
func TestSurprisalOnRealModels(t *testing.T) {
	strong, weak := stockModel(t, stock.Strong), stockModel(t, stock.Weak)
	manifest := text.ManifestOf(strong.Model())
	manifest.Sampler = text.AnySampler
	v := text.New(strong, manifest, text.Options{})
	surprise := func(uid yuma.UID, e engine.Checker) (sum text.Surprisal) {
		m := text.New(e, manifest, text.Options{Flush: -1})
		for n := 0; sum.Tokens < 1000; n++ {
			r := text.Request{MaxTokens: 60, Temperature: 1, Messages: []engine.Message{{Role: engine.User, Content: "Tell me a story."}}}
			x, err := v.Examine(t.Context(), exchange(t, v, m, uid, n, &r))
			if err != nil || x.Broken != "" {
				t.Fatalf("examination %+v, %v", x, err)
			}
			sum.Join(x.Surprise)
		}
		return sum
	}
	own, other := surprise(0, strong), surprise(1, weak)
	t.Logf("Z = %.1f of the model itself in %d tokens, %.1f of the smaller one in %d", own.Z(), own.Tokens, other.Z(), other.Tokens)
	if math.Abs(own.Z()) > 4 || other.Z() < 4 {
		t.Errorf("Z = %.1f and %.1f, want within 4 and above", own.Z(), other.Z())
	}
}

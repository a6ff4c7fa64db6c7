package embed

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"testing/cryptotest"
	"time"

	"github.com/plexus-network/plexus/engine"
	"github.com/plexus-network/plexus/subnet"
	"github.com/plexus-network/plexus/subnet/subnettest"
	"github.com/plexus-network/plexus/yuma"
)

// declared is what the subnet says that miners run.
var declared = ManifestOf((&toy{id: 1}).Model())

func kindOn(e *toy) *Mechanism { return New(e, declared, Options{}) }

func honest() *Mechanism { return kindOn(&toy{id: 1, noise: 1e-3}) }

func TestMechanism(t *testing.T) {
	subnettest.Run(t, func(*testing.T) subnet.Mechanism { return honest() })
}

// work is a trial in which worker answers a request for texts, or a
// challenge of v's if there are none.
func work(t *testing.T, v, worker *Mechanism, uid yuma.UID, texts ...string) subnet.Trial {
	t.Helper()
	body, err := v.Challenge(t.Context())
	if len(texts) > 0 {
		body, err = Request{Texts: texts}.Encode()
	}
	if err != nil {
		t.Fatal(err)
	}
	trial := subnet.Trial{Task: subnet.Task{
		ID: subnet.TaskID([]byte(rand.Text())), Netuid: 2, Body: body,
		Validator: subnet.Peer{UID: 100, PeerID: "validator"}, Miner: subnet.Peer{UID: uid, PeerID: fmt.Sprint("miner", uid)},
	}}
	trial.Answer.Err = worker.Work(t.Context(), trial.Task, func(b []byte) error {
		trial.Answer.Body = append(trial.Answer.Body, b...)
		return nil
	})
	trial.Answer.Received, trial.Answer.Total, trial.Answer.First = time.Now(), 20*time.Millisecond, 10*time.Millisecond
	return trial
}

func score(t *testing.T, v *Mechanism, trial subnet.Trial) subnet.Score {
	t.Helper()
	s, err := v.Score(t.Context(), []subnet.Trial{trial})
	if err != nil {
		t.Fatal(err)
	}
	return s[0]
}

// rewrite changes what an answer says.
func rewrite(t *testing.T, trial *subnet.Trial, change func(a *answer)) {
	t.Helper()
	a, err := decodeAnswer(trial.Answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	change(&a)
	if trial.Answer.Body, err = encodeChunk(a.vectors, a.probe); err != nil {
		t.Fatal(err)
	}
}

func TestCheatsAreRejected(t *testing.T) {
	other := honest().engine.(*toy)
	for name, cheat := range map[string]struct {
		engine *toy
		change func(a *answer)
	}{
		"another model":    {engine: &toy{id: 2}},
		"truncated texts":  {engine: &toy{id: 1, cut: 24}},
		"coarser rounding": {engine: &toy{id: 1, noise: 0.2}},
		"zero vectors":     {change: func(a *answer) { clear(a.vectors[0]) }},
		"NaN":              {change: func(a *answer) { a.vectors[0][3] = float32(math.NaN()) }},
		"random vectors": {change: func(a *answer) {
			for i := range a.vectors {
				a.vectors[i] = other.vector("random " + rand.Text())
			}
		}},
		"cached vectors": {change: func(a *answer) {
			for i := range a.vectors {
				a.vectors[i] = other.vector("something that was asked before")
			}
		}},
		"one vector less":  {change: func(a *answer) { a.vectors = a.vectors[1:] }},
		"one vector more":  {change: func(a *answer) { a.vectors = append(a.vectors, a.probe) }},
		"fewer dimensions": {change: func(a *answer) { a.vectors[0] = []float32{1} }},
		"not of norm 1":    {change: func(a *answer) { a.vectors[0][0] += 0.5 }},
		"no probe":         {change: func(a *answer) { a.probe = nil }},
		"another's probe":  {change: func(a *answer) { a.probe = other.vector("quiet tiger") }},
	} {
		t.Run(name, func(t *testing.T) {
			cryptotest.SetGlobalRandom(t, 1)
			v, worker := honest(), honest()
			if cheat.engine != nil {
				worker = kindOn(cheat.engine)
			}
			rejected := false
			for range 3 {
				trial := work(t, v, worker, 1, "a long text about a sailing boat and the sea", "a second text of more than a few words")
				if cheat.change != nil {
					rewrite(t, &trial, cheat.change)
				}
				s := score(t, v, trial)
				if s.Value != 0 || s.Reason == "" {
					t.Fatalf("score = %+v, want 0 and a reason", s)
				}
				rejected = rejected || s.Reject
			}
			if !rejected {
				t.Error("not proven in 3 answers")
			}
			if s := score(t, v, work(t, v, honest(), 1)); s.Value != 0 {
				t.Errorf("an honest answer during the penalty scores %+v", s)
			}
		})
	}
}

func TestHonestMinersStayTrusted(t *testing.T) {
	cryptotest.SetGlobalRandom(t, 1)
	v, worker := honest(), honest()
	checked := 0
	for range 400 {
		s := score(t, v, work(t, v, worker, 1))
		if s.Value == 0 || s.Reject {
			t.Fatalf("score = %+v", s)
		}
		if s.Reason == "" {
			checked++
		}
	}
	if checked == 400 || checked < probation {
		t.Errorf("%d of 400 answers were checked, want all of the first %d and a falling share after", checked, probation)
	}
}

func TestCheatAfterAGoodNameIsCaught(t *testing.T) {
	cryptotest.SetGlobalRandom(t, 1)
	v, worker := honest(), honest()
	for range 300 {
		score(t, v, work(t, v, worker, 1))
	}
	for n := range 200 {
		if s := score(t, v, work(t, v, kindOn(&toy{id: 2}), 1)); s.Reject {
			t.Logf("caught at answer %d", n+1)
			return
		}
	}
	t.Error("200 answers of another model went through")
}

func TestOwnFailureBlamesNobody(t *testing.T) {
	v := kindOn(&toy{id: 1, fail: engine.ErrWorkerDied})
	trial := work(t, honest(), honest(), 1)
	if _, err := v.Score(t.Context(), []subnet.Trial{trial}); !errors.Is(err, engine.ErrWorkerDied) {
		t.Errorf("error = %v", err)
	}
	if got, _ := v.Snapshot(); !strings.Contains(string(got), `"tally":{}`) {
		t.Errorf("snapshot = %s", got)
	}
}

func TestManifest(t *testing.T) {
	hash := strings.Repeat("ab", 32)
	for _, c := range []struct{ params, want string }{
		{`{"model":"m","file_hash":"` + hash + `","precision":"q8_0"}`, ""},
		{`{"file_hash":"` + hash + `","precision":"q8_0"}`, "model"},
		{`{"model":"m","file_hash":"12","precision":"q8_0"}`, "file_hash"},
		{`{"model":"m","file_hash":"` + hash + `"}`, "precision"},
		{`{"model":"m","file_hash":"` + hash + `","precision":"q8_0","tolerance":0.5}`, "tolerance"},
		{`{"model":"m","file_hash":"` + hash + `","precision":"q8_0","texts":1000}`, "texts"},
		{`{"model":"m","colour":1}`, "colour"},
		{`{} {}`, "more than one"},
	} {
		m, err := ParseManifest([]byte(c.params))
		switch {
		case c.want == "" && (err != nil || m.Tolerance != 1e-3 || m.Texts != 64):
			t.Errorf("ParseManifest(%s) = %+v, %v", c.params, m, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("ParseManifest(%s) = %v, want an error about %s", c.params, err, c.want)
		}
	}
	if got, err := ParseManifest(declared.JSON()); err != nil || got != declared {
		t.Errorf("a manifest comes back as %+v, %v", got, err)
	}
}

// town is a subnet whose miners are asked directly.
type town struct {
	t      *testing.T
	v      *Mechanism
	miners []*Mechanism
	down   map[yuma.UID]bool
	order  []yuma.UID // nil means all
}

func (w *town) Miners() []yuma.UID {
	if w.order != nil {
		return w.order
	}
	var uids []yuma.UID
	for i := range w.miners {
		uids = append(uids, yuma.UID(i))
	}
	return uids
}

func (w *town) Ask(_ context.Context, uid yuma.UID, body []byte, _ time.Duration, _ func([]byte) error) (subnet.Trial, error) {
	r, err := DecodeRequest(body)
	if err != nil {
		w.t.Error(err)
	}
	trial := work(w.t, w.v, w.miners[uid], uid, r.Texts...)
	if w.down[uid] {
		trial.Answer.Body, trial.Answer.Err = nil, errors.New("unreachable")
	}
	return trial, trial.Answer.Err
}

func (w *town) Judge(ctx context.Context, trials []subnet.Trial) ([]subnet.Score, error) {
	return w.v.Score(ctx, trials)
}

func TestEmbedderGivesOnlyTheModelsVectors(t *testing.T) {
	texts := make([]string, 150)
	for i := range texts {
		texts[i] = fmt.Sprintf("text %d speaks of many things %s", i, strings.Repeat("and more ", i%7))
	}
	w := &town{t: t, v: honest(), down: map[yuma.UID]bool{3: true}, miners: []*Mechanism{
		kindOn(&toy{id: 2}), kindOn(&toy{id: 1, cut: 24}), honest(), honest(), honest(),
	}}
	vectors, tokens, err := w.v.Embedder(w).Embed(t.Context(), texts)
	if err != nil || len(vectors) != len(texts) || tokens != w.v.count(texts) {
		t.Fatalf("%d vectors, %d tokens, %v", len(vectors), tokens, err)
	}
	for i, v := range vectors {
		if d := distance(v, (&toy{id: 1}).vector(texts[i])); d > declared.Tolerance {
			t.Errorf("vector %d is %v away", i, d)
		}
	}
	w.order = []yuma.UID{0, 2} // one whose answer can be compared with nobody's
	if _, _, err := w.v.Embedder(w).Embed(t.Context(), texts[:3]); err != nil {
		t.Error(err)
	}
}

func TestEmbedderSaysWhatIsWrong(t *testing.T) {
	w := &town{t: t, v: honest(), miners: []*Mechanism{kindOn(&toy{id: 2})}}
	e := w.v.Embedder(w)
	for name, c := range map[string]struct {
		texts []string
		want  error
	}{
		"no texts":       {nil, ErrMalformed},
		"an empty text":  {[]string{"a", ""}, ErrMalformed},
		"not UTF-8":      {[]string{"\xff"}, ErrMalformed},
		"a long text":    {[]string{strings.Repeat("long ", 4096)}, engine.ErrTooLong},
		"cheats all":     {[]string{"hello"}, ErrNoAnswer},
		"nobody is left": {[]string{"hello"}, ErrNoAnswer},
	} {
		if name == "nobody is left" {
			w.miners = nil
		}
		if _, _, err := e.Embed(t.Context(), c.texts); !errors.Is(err, c.want) {
			t.Errorf("%s: error = %v, want %v", name, err, c.want)
		}
	}
}

func FuzzDecodeRequest(f *testing.F) {
	for _, r := range []Request{{Texts: []string{"a"}}, {Texts: []string{"a", "Grüße"}, Nonce: []byte{1, 2}}} {
		b, err := r.Encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := DecodeRequest(b)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatalf("error = %v, want ErrMalformed", err)
			}
			return
		}
		again, err := r.Encode()
		if err != nil {
			t.Fatalf("decoded request %+v does not encode: %v", r, err)
		}
		if back, err := DecodeRequest(again); err != nil || !reflect.DeepEqual(back, r) {
			t.Fatalf("request %+v comes back as %+v, %v", r, back, err)
		}
	})
}

func FuzzDecodeAnswer(f *testing.F) {
	first, err := encodeChunk([][]float32{{1, 0}}, nil)
	if err != nil {
		f.Fatal(err)
	}
	last, err := encodeChunk([][]float32{{0.6, 0.8}}, []float32{0, 1})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(append(first, last...))
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := decodeAnswer(b)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatalf("error = %v, want ErrMalformed", err)
			}
			return
		}
		a.broken(len(a.vectors)) // must stand whatever came
	})
}

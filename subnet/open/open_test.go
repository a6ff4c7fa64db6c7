package open

import (
	"bytes"
	"errors"
	"fmt"
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

// newClass is a class that is asked the same questions in every run.
func newClass(t *testing.T) *class {
	cryptotest.SetGlobalRandom(t, 1)
	return &class{book: map[string]string{}}
}

func (c *class) pupil(name string, skill float64) *Mechanism {
	return New(&pupil{name: name, skill: skill, class: c}, Manifest{}, Options{})
}

func TestMechanism(t *testing.T) {
	c := newClass(t)
	subnettest.Run(t, func(*testing.T) subnet.Mechanism { return c.validator(Manifest{}, nil) })
}

func TestMechanismWithJudge(t *testing.T) {
	c := newClass(t)
	subnettest.Run(t, func(*testing.T) subnet.Mechanism {
		return c.validator(Manifest{Free: 0.02}, &critic{})
	})
}

func answered(t *testing.T, body []byte, worker subnet.Mechanism, uid int) subnet.Trial {
	t.Helper()
	trial := subnet.Trial{Task: subnet.Task{
		Netuid: 3, Body: body, Validator: subnet.Peer{UID: 100, PeerID: "validator"},
		Miner: subnet.Peer{UID: yuma.UID(uid), PeerID: fmt.Sprint("miner", uid)},
	}}
	trial.Answer.Err = worker.Work(t.Context(), trial.Task, func(b []byte) error {
		trial.Answer.Body = append(trial.Answer.Body, b...)
		return nil
	})
	trial.Answer.Received, trial.Answer.Total = time.Now(), time.Millisecond
	return trial
}

func score(t *testing.T, v subnet.Mechanism, trial subnet.Trial) subnet.Score {
	t.Helper()
	s, err := v.Score(t.Context(), []subnet.Trial{trial})
	if err != nil {
		t.Fatal(err)
	}
	return s[0]
}

// compete lets miners answer n challenges each and returns their last values.
func compete(t *testing.T, v subnet.Mechanism, n int, miners ...subnet.Mechanism) []float64 {
	t.Helper()
	values := make([]float64, len(miners))
	for range n {
		for uid, m := range miners {
			if s := score(t, v, work(t, v, m, uid)); s.Value > 0 {
				values[uid] = s.Value
			}
		}
	}
	return values
}

func TestBetterModelsEarnMore(t *testing.T) {
	for name, manifest := range map[string]Manifest{
		"checked": {Free: 1e-9, Weight: 1e-9}, "judged": {Free: 0.9, Weight: 1}, "both": {},
	} {
		t.Run(name, func(t *testing.T) {
			c := newClass(t)
			skills := []float64{0.2, 0.45, 0.7, 0.95}
			var miners []subnet.Mechanism
			for i, s := range skills {
				miners = append(miners, c.pupil(fmt.Sprint("pupil", i), s))
			}
			values := compete(t, c.validator(manifest, &critic{}), 200, miners...)
			t.Logf("skills %v are worth %.3f", skills, values)
			for i := range values[1:] {
				if values[i+1] <= values[i] {
					t.Errorf("skills %v are worth %v: not in order", skills, values)
				}
			}
			if name != "judged" && values[3] < 4*values[1] {
				t.Errorf("skill %v is worth %v, skill %v only %v: not sharp", skills[1], values[1], skills[3], values[3])
			}
		})
	}
}

func TestCopiersGainNothing(t *testing.T) {
	c := newClass(t)
	v, honest := c.validator(Manifest{}, nil), c.pupil("honest", 0.9)
	t.Run("an answer that was made for another miner", func(t *testing.T) {
		rejected := false
		for range 3 {
			trial := work(t, v, honest, 1)
			trial.Task.Miner = subnet.Peer{UID: 2, PeerID: "miner2"}
			s := score(t, v, trial)
			rejected = rejected || s.Reject
			if s.Value != 0 {
				t.Errorf("score = %+v", s)
			}
		}
		if !rejected {
			t.Error("not rejected")
		}
	})
	t.Run("an answer to someone else's question", func(t *testing.T) {
		last, best, copied := "nothing", 0.0, 0.0
		for round := range 200 {
			own := work(t, v, honest, 3)
			copier := New(&pupil{says: last}, Manifest{}, Options{})
			best = max(best, score(t, v, own).Value)
			last, _, _ = decodeAnswer(own.Answer.Body, maxText)
			if s := score(t, v, work(t, v, copier, 4)); round >= 50 { // one may be lucky with the first
				copied = max(copied, s.Value)
			}
		}
		t.Logf("the copier is worth %.2g, its source %.2g", copied, best)
		if copied > best/20 {
			t.Errorf("the copier is worth %v, its source %v", copied, best)
		}
	})
	t.Run("the same text on an open question", func(t *testing.T) {
		text := "a long and thoughtful text about many things that nobody else would have written like this " + strings.Repeat("good ", 20)
		came := time.Now()
		entries := []entry{{1, text, came.Add(time.Second)}, {2, text, came}, {3, "short", came}}
		ranks, err := judge{&critic{}}.ranks(t.Context(), "why?", entries)
		if err != nil || !reflect.DeepEqual(ranks, []int{1, 0, 2}) {
			t.Errorf("ranks = %v, %v; want the first to come first", ranks, err)
		}
	})
}

func TestJudgeHasNoBiasOfPosition(t *testing.T) {
	j := judge{&critic{}}
	a, b := entry{text: "good good"}, entry{text: "good"}
	x, err := j.prefers(t.Context(), "why?", a, b)
	if err != nil {
		t.Fatal(err)
	}
	y, err := j.prefers(t.Context(), "why?", b, a)
	if err != nil || !(x > 0.5) || x+y < 0.999 || x+y > 1.001 {
		t.Errorf("a beats b with %v, b beats a with %v, %v", x, y, err)
	}
	same, err := j.prefers(t.Context(), "why?", b, b)
	if err != nil || same < 0.499 || same > 0.501 {
		t.Errorf("equals are judged %v, %v", same, err)
	}
}

func TestJudgesFailureIsTold(t *testing.T) {
	c := newClass(t)
	v := c.validator(Manifest{Free: 0.9}, &critic{fail: engine.ErrWorkerDied})
	for i := range 100 {
		_, err := v.Score(t.Context(), []subnet.Trial{work(t, v, c.pupil("p", 1), i%3)})
		if errors.Is(err, engine.ErrWorkerDied) {
			return
		}
	}
	t.Error("no error in 100 answers")
}

func TestSilenceCountsAsWrong(t *testing.T) {
	c := newClass(t)
	v, m := c.validator(Manifest{}, nil), c.pupil("p", 1)
	before := compete(t, v, 30, m)[0]
	for range 30 {
		trial := work(t, v, m, 0)
		trial.Answer.Body, trial.Answer.Err = nil, errors.New("unreachable")
		if s := score(t, v, trial); s.Value != 0 || s.Reject {
			t.Fatalf("score = %+v", s)
		}
	}
	if after := compete(t, v, 1, m)[0]; after > before/2 {
		t.Errorf("worth %v before and %v after 30 silences", before, after)
	}
}

func TestUsersTasksTeachNothing(t *testing.T) {
	c := newClass(t)
	v := c.validator(Manifest{}, nil)
	before, _ := v.Snapshot()
	body, err := Request{Prompt: "Hello?", MaxBytes: 10}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	trial := answered(t, body, New(&pupil{says: "one two three four"}, Manifest{}, Options{}), 1)
	if text, _, err := decodeAnswer(trial.Answer.Body, 10); err != nil || text != "one two " {
		t.Errorf("the answer is %q, %v; want whole pieces within 10 bytes", text, err)
	}
	if s := score(t, v, trial); s.Value == 0 {
		t.Errorf("score = %+v", s)
	}
	v.Forget(1)
	if after, _ := v.Snapshot(); !bytes.Equal(before, after) {
		t.Errorf("snapshot = %s, before %s", after, before)
	}
}

func TestManifest(t *testing.T) {
	for _, c := range []struct{ params, want string }{
		{"", ""},
		{"{}", ""},
		{`{"levels":1,"sharpness":8}`, ""},
		{`{"levels":9}`, "levels"},
		{`{"free":1}`, "free"},
		{`{"weight":-1}`, "weight"},
		{`{"sharpness":0.5}`, "sharpness"},
		{`{"max_bytes":3}`, "max_bytes"},
		{`{"max_tokens":-1}`, "max_tokens"},
		{`{"penalty_s":-1}`, "penalty_s"},
		{`{"x":1}`, "x"},
		{`{} 1`, "more than one"},
	} {
		_, err := ParseManifest([]byte(c.params))
		if (c.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("ParseManifest(%s) = %v, want an error about %q", c.params, err, c.want)
		}
	}
}

func FuzzDecodeRequest(f *testing.F) {
	b, err := Request{Prompt: "Why?", MaxBytes: 100}.Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
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
		if back, err := DecodeRequest(again); err != nil || back != r {
			t.Fatalf("request %+v comes back as %+v, %v", r, back, err)
		}
	})
}

func FuzzDecodeAnswer(f *testing.F) {
	text, _ := encodeChunk("hello", nil)
	end, _ := encodeChunk("", []byte{1})
	f.Add(append(text, end...))
	f.Fuzz(func(t *testing.T, b []byte) {
		if text, _, err := decodeAnswer(b, 100); err != nil && !errors.Is(err, ErrMalformed) || len(text) > 100 {
			t.Fatalf("%d bytes, error %v", len(text), err)
		}
	})
}

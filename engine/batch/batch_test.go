package batch_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/plexus-network/plexus/engine"
	"github.com/plexus-network/plexus/engine/batch"
)

// chatText asks for an answer to a prompt.
func chatText(ctx context.Context, e *batch.Engine, r engine.ChatRequest) (string, engine.Usage, error) {
	var b strings.Builder
	u, err := e.Chat(ctx, r, func(d engine.Delta) error {
		b.WriteString(d.Text)
		return nil
	})
	return b.String(), u, err
}

func TestAnswers(t *testing.T) {
	for _, c := range []struct {
		name  string
		r     engine.ChatRequest
		want  string
		usage engine.Usage
	}{
		{"to the end", engine.ChatRequest{Prompt: "uv"}, "wxyz", engine.Usage{Prompt: 2, Completion: 5, Finish: engine.FinishStop}},
		{"to a length", engine.ChatRequest{Prompt: "ab", MaxTokens: 3}, "cde", engine.Usage{Prompt: 2, Completion: 3, Finish: engine.FinishLength}},
		{"to a text", engine.ChatRequest{Prompt: "ab", Stop: []string{"hi", "ghi"}}, "cdef", engine.Usage{Prompt: 2, Completion: 7, Finish: engine.FinishStop}},
		{"the start of a stop text at the end", engine.ChatRequest{Prompt: "ab", MaxTokens: 3, Stop: []string{"efg"}}, "cde", engine.Usage{Prompt: 2, Completion: 3, Finish: engine.FinishLength}},
		{"to tokens", engine.ChatRequest{Tokens: []engine.Token{'a', 'c'}, MaxTokens: 1}, "d", engine.Usage{Prompt: 2, Completion: 1, Finish: engine.FinishLength}},
		{"to the end of the context", engine.ChatRequest{Prompt: strings.Repeat("a", 198)}, "bc", engine.Usage{Prompt: 198, Completion: 2, Finish: engine.FinishLength}},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := newEngine(t, &fake{}, batch.Options{})
			got, u, err := chatText(t.Context(), e, c.r)
			if err != nil || got != c.want || u != c.usage {
				t.Errorf("got %q %+v %v, want %q %+v", got, u, err, c.want, c.usage)
			}
		})
	}
}

// TestResume goes on after every token of an answer: the rest is the same.
func TestResume(t *testing.T) {
	e := newEngine(t, &fake{}, batch.Options{})
	r := engine.ChatRequest{Prompt: "p", Stop: []string{"wx"}}
	const whole = "qrstuv"
	made := []engine.Token{}
	for n := 0; n <= 8; n++ {
		var b strings.Builder
		u, err := e.Resume(t.Context(), r, made, func(d engine.Delta) error {
			b.WriteString(d.Text)
			return nil
		})
		want := whole[min(n, len(whole)):]
		if n == 7 { // "w" was held back and is not shown any more
			want = ""
		}
		if err != nil || b.String() != want || u.Completion != 8 || u.Finish != engine.FinishStop {
			t.Errorf("after %d tokens: got %q %+v %v, want %q", n, b.String(), u, err, want)
		}
		made = append(made, engine.Token('q'+n))
	}
}

func TestBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{gate: make(chan struct{})}
		e := newEngine(t, f, batch.Options{Slots: 4, Rows: 64, Prompt: 16})
		done := make(chan string, 8)
		ask := func(prompt string) {
			go func() {
				s, _, err := chatText(t.Context(), e, engine.ChatRequest{Prompt: prompt, MaxTokens: 6})
				if err != nil {
					t.Error(err)
				}
				done <- s
			}()
			synctest.Wait()
		}
		ask("a")
		f.gate <- struct{}{} // the first step: one row
		synctest.Wait()
		ask(strings.Repeat("b", 40)) // read 16 rows at a time while "a" is written
		ask("c")
		for range 12 {
			f.gate <- struct{}{}
			synctest.Wait()
			if len(done) == 3 {
				break
			}
		}
		close(f.gate)
		for _, want := range []string{"bcdefg", "cdefgh", "defghi"} {
			found := false
			for range 3 {
				s := <-done
				found = found || s == want
				done <- s
			}
			if !found {
				t.Errorf("no answer %q", want)
			}
		}
		for _, n := range f.steps {
			if n > 2+16 {
				t.Errorf("a step of %d rows while answers are written: %v", n, f.steps)
			}
		}
		if len(f.steps) > 12 {
			t.Errorf("%d steps: answers are not computed together: %v", len(f.steps), f.steps)
		}
	})
}

func TestQueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{gate: make(chan struct{})}
		e := newEngine(t, f, batch.Options{Slots: 1, Queue: 2})
		errs := make(chan error, 4)
		for range 3 {
			go func() {
				_, _, err := chatText(t.Context(), e, engine.ChatRequest{Prompt: "y"})
				errs <- err
			}()
			synctest.Wait()
		}
		if _, _, err := chatText(t.Context(), e, engine.ChatRequest{Prompt: "y"}); !errors.Is(err, engine.ErrBusy) {
			t.Errorf("a fourth session: got %v, want ErrBusy", err)
		}
		close(f.gate)
		for range 3 {
			if err := <-errs; err != nil {
				t.Errorf("got %v", err)
			}
		}
	})
}

func TestCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{gate: make(chan struct{})}
		e := newEngine(t, f, batch.Options{Slots: 1})
		ctx, cancel := context.WithCancel(t.Context())
		errs := make(chan error, 2)
		for range 2 { // one runs, one waits
			go func() {
				_, _, err := chatText(ctx, e, engine.ChatRequest{Prompt: "a"})
				errs <- err
			}()
			synctest.Wait()
		}
		f.gate <- struct{}{}
		synctest.Wait()
		cancel()
		synctest.Wait()
		f.gate <- struct{}{} // the step that was under way
		for range 2 {
			if err := <-errs; !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
		}
		close(f.gate)
		if got, _, err := chatText(t.Context(), e, engine.ChatRequest{Prompt: "y"}); got != "z" || err != nil {
			t.Errorf("afterwards: %q %v", got, err)
		}
	})
}

func TestCaches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		e := newEngine(t, f, batch.Options{Slots: 2})
		long := strings.Repeat("x", 100)
		cached := func(prompt string) int {
			_, u, err := chatText(t.Context(), e, engine.ChatRequest{Prompt: prompt, MaxTokens: 1})
			if err != nil {
				t.Fatal(err)
			}
			return u.Cached
		}
		for _, c := range []struct {
			prompt string
			want   int
		}{
			{long + "a", 0},
			{long + "a", 100},   // all but the last
			{long + "bcd", 100}, // what it has in common
			{"other", 0},        // takes the other slot
			{long + "bcd", 102}, // so the first is still there
			{long + "bcd" + "e", 103},
		} {
			if got := cached(c.prompt); got != c.want {
				t.Errorf("…%s: %d tokens cached, want %d", c.prompt[max(0, len(c.prompt)-5):], got, c.want)
			}
		}
	})
}

// TestCopiesABusySlot has a second answer begin like one that is being written.
func TestCopiesABusySlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{gate: make(chan struct{}, 1000)}
		e := newEngine(t, f, batch.Options{Slots: 2})
		prompt := strings.Repeat("x", 100)
		go chatText(t.Context(), e, engine.ChatRequest{Prompt: prompt + "a"})
		synctest.Wait()
		f.gate <- struct{}{}
		synctest.Wait()
		usage := make(chan engine.Usage, 1)
		go func() {
			_, u, err := chatText(t.Context(), e, engine.ChatRequest{Prompt: prompt + "b"})
			if err != nil {
				t.Error(err)
			}
			usage <- u
		}()
		synctest.Wait()
		close(f.gate)
		if u := <-usage; u.Cached != 100 || f.copies != 1 {
			t.Errorf("usage is %+v after %d copies", u, f.copies)
		}
	})
}

func TestScore(t *testing.T) {
	e := newEngine(t, &fake{}, batch.Options{Rows: 16, Prompt: 4})
	prompt, continuation := []engine.Token("abc"), []engine.Token{'d', 'e', 'x', 'y'}
	for range 2 { // the second time out of the cache
		scores, err := e.Score(t.Context(), prompt, continuation)
		if err != nil {
			t.Fatal(err)
		}
		for i, s := range scores {
			likely := s.LogProb > -1
			if s.Token != continuation[i] || likely != (i != 2) || len(s.Top) != engine.MaxTop {
				t.Errorf("score %d is %v of token %d", i, s.LogProb, s.Token)
			}
		}
	}
	// A context that is just full can be scored.
	if s, err := e.Score(t.Context(), prompt, make([]engine.Token, 197)); err != nil || len(s) != 197 {
		t.Errorf("a full context: %d scores, %v", len(s), err)
	}
}

func TestFailures(t *testing.T) {
	f := &fake{broken: errStep}
	e := newEngine(t, f, batch.Options{})
	if _, _, err := chatText(t.Context(), e, engine.ChatRequest{Prompt: "a"}); !errors.Is(err, errStep) {
		t.Errorf("a step that fails: got %v", err)
	}
	if got, _, err := chatText(t.Context(), e, engine.ChatRequest{Prompt: "x"}); got != "yz" || err != nil {
		t.Errorf("afterwards: %q %v", got, err)
	}
	n := newEngine(t, &fake{nan: true}, batch.Options{})
	if _, _, err := chatText(t.Context(), n, engine.ChatRequest{Prompt: "a"}); err == nil || !strings.Contains(err.Error(), "finite") {
		t.Errorf("numbers that are none: got %v", err)
	}
}

func TestTooLong(t *testing.T) {
	e := newEngine(t, &fake{}, batch.Options{})
	_, _, err := chatText(t.Context(), e, engine.ChatRequest{Prompt: strings.Repeat("a", 200)})
	if !errors.Is(err, engine.ErrTooLong) || !strings.Contains(err.Error(), "200 tokens") {
		t.Errorf("got %v, want ErrTooLong with the numbers", err)
	}
}

func TestCloseEndsAnswers(t *testing.T) {
	f := &fake{gate: make(chan struct{})}
	e := newEngine(t, f, batch.Options{Slots: 1})
	errs := make(chan error, 2)
	for range 2 {
		go func() {
			_, _, err := chatText(t.Context(), e, engine.ChatRequest{Prompt: "a"})
			errs <- err
		}()
	}
	f.gate <- struct{}{}
	go close(f.gate)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := <-errs; err != nil && !errors.Is(err, engine.ErrClosed) {
			t.Errorf("got %v", err)
		}
	}
}

func TestDecodeIsWholeText(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"né 你 🙂", "né 你 🙂"}, {"a\xffb", "a\uFFFDb"}, {"a\xe4\xbd", "a\uFFFD\uFFFD"}, {"\xe4x", "\uFFFDx"},
	} {
		tokens, _ := bytes{}.Encode(c.in)
		if got := batch.Decode(bytes{}, tokens); got != c.want {
			t.Errorf("%q: got %q, want %q", c.in, got, c.want)
		}
	}
}

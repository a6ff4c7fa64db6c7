package gateway

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/plexus-network/plexus/engine"
	"github.com/plexus-network/plexus/subnet"
	"github.com/plexus-network/plexus/subnet/text"
	"github.com/plexus-network/plexus/yuma"
)

// bytewise is a tokenizer whose tokens are bytes.
type bytewise struct{}

func (bytewise) Render(messages []engine.Message) ([]engine.Token, error) {
	var b strings.Builder
	for _, m := range messages {
		b.WriteString(string(m.Role) + ": " + m.Content + "\n")
	}
	return bytewise{}.Encode(b.String() + "assistant: ")
}

func (bytewise) Encode(s string) ([]engine.Token, error) {
	out := make([]engine.Token, len(s))
	for i := range len(s) {
		out[i] = engine.Token(s[i])
	}
	return out, nil
}

func (bytewise) Decode(tokens []engine.Token) string {
	b := make([]byte, len(tokens))
	for i, t := range tokens {
		b[i] = byte(t)
	}
	return string(b)
}

func (bytewise) Ends(engine.Token) bool { return false }

// fakeMiner plays one miner.
type fakeMiner struct {
	stand     Miner
	says      []string      // its pieces
	wait      time.Duration // before the first
	step      time.Duration // between two
	dieAt     int           // fails before this piece; 0 never, -1 before the first
	hangAt    int           // says nothing more before this piece; 0 never, -1 before the first
	panics    bool
	endless   bool
	bare      bool     // tells no tokens
	logprob   float32  // of each token; 0 means -0.5
	judges    string   // what it says when it is asked about others' answers
	merges    []string // the same, in pieces
	mergeDies *bool    // whoever merges first dies after a piece of it, while true
	score     subnet.Score
}

// fakeNet is a subnet of fake miners.
type fakeNet struct {
	mu       sync.Mutex
	miners   map[yuma.UID]*fakeMiner
	asked    []text.Request
	askedUID []yuma.UID
	stopped  int // answers that ended because the asker went away
	judged   int
	full     bool // all that was judged was to be examined
	blamed   int  // of them, answers that were none
	judgeErr error
}

func (n *fakeNet) Miners() []Miner {
	n.mu.Lock()
	defer n.mu.Unlock()
	var out []Miner
	for uid := range yuma.UID(64) {
		if m := n.miners[uid]; m != nil {
			out = append(out, m.stand)
		}
	}
	return out
}

var errDied = errors.New("the stream was reset")

func (n *fakeNet) Ask(ctx context.Context, uid yuma.UID, body []byte, timeout time.Duration, onChunk func([]byte) error) (subnet.Trial, error) {
	n.mu.Lock()
	m := n.miners[uid]
	r, err := text.DecodeRequest(body)
	n.asked, n.askedUID = append(n.asked, r), append(n.askedUID, uid)
	n.mu.Unlock()
	if err != nil {
		return subnet.Trial{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	trial := subnet.Trial{Task: subnet.Task{Miner: m.stand.Peer, Height: 77, Body: body}}
	err = m.play(ctx, r, func(b []byte) error {
		trial.Answer.Body = append(trial.Answer.Body, b...)
		return onChunk(b)
	})
	trial.Answer.Err = err
	if errors.Is(err, context.Canceled) {
		n.mu.Lock()
		n.stopped++
		n.mu.Unlock()
	}
	return trial, err
}

// play says the miner's pieces. A request that ends in tokens which the miner
// would have said goes on from there.
func (m *fakeMiner) play(ctx context.Context, r text.Request, emit func([]byte) error) error {
	if m.panics {
		panic("boom")
	}
	says, dieAt := m.says, m.dieAt
	if len(r.Messages) == 1 && strings.HasPrefix(r.Messages[0].Content, "Question:") {
		says = []string{m.judges}
		if m.merges != nil {
			says = m.merges
		}
		if m.mergeDies != nil && *m.mergeDies {
			dieAt, *m.mergeDies = 2, false
		}
	}
	if len(r.Tokens) > 0 {
		prompt := bytewise{}.Decode(r.Tokens)
		if strings.Contains(prompt, "user: Question:") {
			says = m.merges
		}
		whole := says
		for n := len(whole); n > 0; n-- {
			if strings.HasSuffix(prompt, strings.Join(whole[:n], "")) {
				says = whole[n:]
				break
			}
		}
	}
	total := 0
	for i := 0; i < len(says) || m.endless; i++ {
		at := i
		if i == 0 {
			at = -1
		}
		d := m.step
		if i == 0 {
			d = m.wait
		}
		if m.hangAt == at && at != 0 {
			<-ctx.Done()
			return ctx.Err()
		}
		if dieAt == at && at != 0 {
			return errDied
		}
		if err := sleep(ctx, d); err != nil {
			return err
		}
		c := text.Chunk{Text: says[i%len(says)]}
		if !m.bare {
			c.Tokens = scores(c.Text)
			for i := range c.Tokens {
				c.Tokens[i].LogProb = cmp.Or(m.logprob, c.Tokens[i].LogProb)
			}
		}
		total += len(c.Text)
		if err := emit(must(c.Encode())); err != nil {
			return err
		}
	}
	end := text.Chunk{Finish: engine.FinishStop, Usage: engine.Usage{Prompt: 9, Completion: total, Finish: engine.FinishStop}}
	return emit(must(end.Encode()))
}

func scores(s string) []engine.TokenScore {
	var out []engine.TokenScore
	for i := range len(s) {
		t := engine.Token(s[i])
		out = append(out, engine.TokenScore{Token: t, LogProb: -0.5, Top: []engine.Candidate{{Token: t, LogProb: -0.5}, {Token: 'z', LogProb: -2}}})
	}
	return out
}

func sleep(ctx context.Context, d time.Duration) error {
	if d == 0 {
		return ctx.Err()
	}
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func (n *fakeNet) Judge(_ context.Context, trials []subnet.Trial) ([]subnet.Score, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.judged += len(trials)
	n.full = len(trials) > 0 && !slices.ContainsFunc(trials, func(t subnet.Trial) bool { return !t.Answer.Full })
	out := make([]subnet.Score, len(trials))
	for i, t := range trials {
		out[i] = n.miners[t.Task.Miner.UID].score
		if t.Answer.Err != nil {
			n.blamed++
		}
	}
	return out, n.judgeErr
}

// fakes makes a network out of miners; their uids are their places.
func fakes(miners ...*fakeMiner) *fakeNet {
	n := &fakeNet{miners: map[yuma.UID]*fakeMiner{}}
	for i, m := range miners {
		m.stand.Peer = subnet.Peer{UID: yuma.UID(i), Account: "plx1" + string(rune('a'+i)), PeerID: "12D3" + string(rune('a'+i))}
		n.miners[yuma.UID(i)] = m
	}
	return n
}

// honest is a proven miner that says what it is given.
func honest(says ...string) *fakeMiner {
	return &fakeMiner{
		stand: Miner{Alive: true, Score: 0.9, Incentive: 20000}, says: says,
		score: subnet.Score{Value: 0.9},
	}
}

// cheat is a fast miner without a name, whose answers do not hold.
func cheat(says ...string) *fakeMiner {
	return &fakeMiner{
		stand: Miner{Alive: true}, says: says,
		score: subnet.Score{Reject: true, Reason: "margins of another model"},
	}
}

// open makes a gateway over n. Limits' zero Explore means none.
func open(t testing.TB, n Backend, l Limits) *Gateway {
	t.Helper()
	if l.Explore == 0 {
		l.Explore = -1
	}
	g, err := New(Config{
		Models: []Model{{
			Name: "toy", Backend: n, Tokenizer: bytewise{}, Context: 4096, Netuid: 1,
			Validator: subnet.Peer{UID: 40, Account: "plx1v", PeerID: "12D3v"},
		}},
		Height: func(context.Context) (yuma.Height, error) { return 123, nil },
		Limits: l, Log: slog.New(slog.NewTextHandler(testLog{t}, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

type testLog struct{ t testing.TB }

func (l testLog) Write(b []byte) (int, error) {
	l.t.Logf("%s", bytes.TrimSpace(b))
	return len(b), nil
}

// post sends a body straight to the handler.
func post(ctx context.Context, g *Gateway, path, body string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	g.Handler().ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodPost, path, strings.NewReader(body)))
	return w
}

// request is a chat request with a body.
func request(ctx context.Context, body string) *http.Request {
	return httptest.NewRequestWithContext(ctx, http.MethodPost, "/v1/chat/completions", strings.NewReader(body))
}

// timed is a client that notes when pieces come.
type timed struct {
	head http.Header
	body bytes.Buffer
	at   []time.Time
}

func (w *timed) Header() http.Header {
	if w.head == nil {
		w.head = http.Header{}
	}
	return w.head
}

func (w *timed) WriteHeader(int) {}

func (w *timed) Write(b []byte) (int, error) {
	w.at = append(w.at, time.Now())
	return w.body.Write(b)
}

func (w *timed) Flush() {}

// answer is what tests read of a response or a chunk.
type answer struct {
	ID      string
	Object  string
	Choices []struct {
		Index   int
		Text    string
		Message struct{ Role, Content string }
		Delta   struct {
			Role    string
			Content *string
		}
		FinishReason *string `json:"finish_reason"`
		TokenIDs     []int   `json:"token_ids"`
		LogProbs     json.RawMessage
	}
	Usage  *usage
	Plexus *report
	Error  *struct {
		Message, Type string
		Param, Code   *string
	}
}

// read takes a response's JSON.
func read(t testing.TB, w *httptest.ResponseRecorder) answer {
	t.Helper()
	var a answer
	if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil {
		t.Fatalf("response %d is not JSON: %v\n%s", w.Code, err, w.Body)
	}
	return a
}

// readStream takes a stream's chunks and its text, and checks its end.
func readStream(t testing.TB, body io.Reader) (chunks []answer, said string) {
	t.Helper()
	done := false
	lines := bufio.NewScanner(body)
	for lines.Scan() {
		line, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		if line == "[DONE]" {
			done = true
			continue
		}
		if done {
			t.Errorf("an event after [DONE]: %s", line)
		}
		var a answer
		if err := json.Unmarshal([]byte(line), &a); err != nil {
			t.Fatalf("event is not JSON: %v\n%s", err, line)
		}
		chunks = append(chunks, a)
		for _, c := range a.Choices {
			said += c.Text
			if c.Delta.Content != nil {
				said += *c.Delta.Content
			}
		}
		if a.Error != nil {
			done = true
		}
	}
	if !done {
		t.Errorf("the stream has no end: %q", said)
	}
	return chunks, said
}

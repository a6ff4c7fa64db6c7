package node

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/plexus-network/plexus/chain"
	"github.com/plexus-network/plexus/engine"
	"github.com/plexus-network/plexus/engine/local"
	"github.com/plexus-network/plexus/engine/stock"
	"github.com/plexus-network/plexus/gateway"
	"github.com/plexus-network/plexus/ledger"
	"github.com/plexus-network/plexus/neuron"
	"github.com/plexus-network/plexus/subnet"
	"github.com/plexus-network/plexus/subnet/open"
	"github.com/plexus-network/plexus/subnet/open/quiz"
	"github.com/plexus-network/plexus/wallet"
	"github.com/plexus-network/plexus/yuma"
)

func TestMain(m *testing.M) {
	local.ServeIfAsked()
	os.Exit(m.Run())
}

// teacher is the kind open of a validator that counts its questions, and tells
// pupils the answers to them.
type teacher struct {
	*open.Mechanism
	seed   [32]byte
	levels int
	asked  atomic.Int64

	mu   sync.Mutex
	book map[string]string
}

func (c *teacher) Challenge(ctx context.Context) ([]byte, error) {
	body, err := c.Mechanism.Challenge(ctx)
	if err != nil {
		return nil, err
	}
	r, err := open.DecodeRequest(body)
	if err != nil {
		return nil, err
	}
	c.asked.Add(1)
	h := hmac.New(sha256.New, c.seed[:]) // as the kind derives questions
	h.Write(r.Salt[:])
	own := [32]byte(h.Sum(nil))
	c.mu.Lock()
	defer c.mu.Unlock()
	c.book[r.Prompt] = quiz.Make(own, 1+int(own[0])%c.levels).Answer
	return body, nil
}

// pupil is an engine that knows a share of the answers.
type pupil struct {
	engine.Text // nil: it only chats
	teacher     *teacher
	skill       byte // of 255
}

func (p pupil) Chat(_ context.Context, r engine.ChatRequest, emit func(engine.Delta) error) (engine.Usage, error) {
	prompt := r.Messages[0].Content
	p.teacher.mu.Lock()
	answer := p.teacher.book[prompt]
	p.teacher.mu.Unlock()
	if h := sha256.Sum256(append([]byte(prompt), p.skill)); h[0] > p.skill {
		answer = "no idea"
	}
	return engine.Usage{}, emit(engine.Delta{Text: answer})
}

// TestBetterModelEndsWithMoreIncentive lets miners with models of different
// worth compete on an open-ended subnet of a real chain, by their validator's
// weights and Yuma epochs.
func TestBetterModelEndsWithMoreIncentive(t *testing.T) {
	if testing.Short() {
		t.Skip("runs a chain")
	}
	t.Run("toys", func(t *testing.T) {
		school := &teacher{seed: [32]byte{1}, levels: quiz.Levels, book: map[string]string{}}
		manifest := open.Manifest{}
		school.Mechanism = open.New(nil, manifest, open.Options{Seed: school.seed})
		compete(t, school, 120, manifest, pupil{teacher: school, skill: 230}, pupil{teacher: school, skill: 160}, pupil{teacher: school, skill: 80})
	})
	t.Run("stock", func(t *testing.T) {
		school := &teacher{seed: [32]byte{2}, levels: 1, book: map[string]string{}}
		// A judge of 4 M parameters is noise, and of its easiest questions the
		// strong model answers 9 in 100, the weak one 3: only many tell. What a
		// validator remembers at a time, about 300 answers, errs once in some
		// thousand times; its mean over 500 more does once in some million.
		manifest := open.Manifest{Levels: 1, MaxTokens: 40, Free: 0.05, Weight: 0.001}
		strong := stockModel(t, stock.Strong)
		school.Mechanism = open.New(nil, manifest, open.Options{Seed: school.seed, Judge: strong})
		compete(t, school, 400, manifest, strong, stockModel(t, stock.Weak))
	})
}

func stockModel(t *testing.T, name string) engine.Checker {
	t.Helper()
	path, err := stock.Path(t.TempDir(), name)
	if err != nil {
		t.Fatal(err)
	}
	e, err := local.Open(t.Context(), path, local.Options{Threads: 1, Command: os.Args[:1]})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

// compete runs a chain with one validator, which asks every miner about
// questions times, and then checks that over the epochs of 1¼ times as many
// further ones each engine earned more than the next.
func compete(t *testing.T, judge *teacher, questions int64, manifest open.Manifest, engines ...engine.Text) {
	t.Helper()
	h, err := openHome(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer h.close()
	o := UpOptions{Home: h.dir, Validators: 1, Miners: len(engines), BlockTime: 250 * time.Millisecond, Tempo: 8}.withDefaults()
	n, err := h.found(o)
	if err != nil {
		t.Fatal(err)
	}
	n.Embed = false
	u := &up{UpOptions: o, home: h, network: n, open: &stack{log: slog.New(slog.DiscardHandler)}}
	defer u.open.close()
	if u.ring, err = wallet.Open(wallet.Options{Home: h.dir, Backend: wallet.Test}); err != nil {
		t.Fatal(err)
	}
	options, err := h.genesis(n, engine.Model{Name: "any"})
	if err != nil {
		t.Fatal(err)
	}
	options.Subnets[0].Kind, options.Subnets[0].Name, options.Subnets[0].KindParams = "open", "open", []byte("{}")
	genesis, err := chain.Genesis(options)
	if err != nil {
		t.Fatal(err)
	}
	first := n.Members[0]
	producer, err := chain.StartNode(t.Context(), chain.NodeConfig{
		Home: h.path(first.Chainhome), Genesis: genesis, Moniker: first.Name, P2P: "127.0.0.1:0", Local: true, BlockTime: n.BlockTime,
	})
	if err != nil {
		t.Fatal(err)
	}
	u.open.push("node", producer.Close)
	client := ledger.New(producer.GRPC(), ledger.Options{ChainID: n.ChainID})
	u.nodes, u.chain = []*chain.Node{producer}, map[string]*ledger.Client{first.Name: client}
	u.services = []service{{"node", producer.Run}}
	if err := u.startHosts(t.Context()); err != nil {
		t.Fatal(err)
	}
	d := door{name: "open-1", netuid: textNetuid, most: 2048}
	for uid, m := range n.Members {
		self, err := u.self(m)
		if err != nil {
			t.Fatal(err)
		}
		v := neuron.NewValidator(self, judge, h.stateDir(m), neuron.ValidatorOptions{
			Round: 50 * time.Millisecond, Parallel: 4, Timeout: time.Minute, Poll: 100 * time.Millisecond,
		})
		run := v.Run
		if uid == 0 {
			d.validator, d.as = v, subnet.Peer{Account: m.Account, PeerID: m.PeerID}
		} else {
			run = neuron.NewMiner(self, open.New(engines[uid-1], manifest, open.Options{}), neuron.MinerOptions{}).Run
		}
		u.services = append(u.services, service{m.Name, run})
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- serve(ctx, u.Log, u.services) }()
	incentives := watch(t, client, judge, questions*int64(len(engines)), done)
	chats(t, judge, d)
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	t.Logf("mean incentives, the best model first: %.0f", incentives)
	for i := range incentives[1:] {
		if incentives[i] <= incentives[i+1] {
			t.Errorf("mean incentives %.0f, want the better model above the next", incentives)
		}
	}
}

// chats asks a gateway before the validator, whose best miner is to answer.
func chats(t *testing.T, judge *teacher, d door) {
	t.Helper()
	const question = "What is the capital of France?"
	judge.mu.Lock()
	judge.book[question] = "Paris" // pupils know nothing else
	judge.mu.Unlock()
	g, err := gateway.New(gateway.Config{Models: []gateway.Model{d.offer()}})
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	g.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/chat/completions",
		strings.NewReader(`{"model":"open-1","messages":[{"role":"user","content":"`+question+`"}]}`)))
	var a struct {
		Choices []struct{ Message struct{ Content string } }
		Plexus  struct {
			Kind   string
			Miners []struct {
				UID    yuma.UID
				Chosen bool
			}
		}
	}
	if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil || len(a.Choices) != 1 || a.Choices[0].Message.Content == "" || a.Plexus.Kind != "open" {
		t.Fatalf("the gateway says %d %s", w.Code, w.Body)
	}
	for _, m := range a.Plexus.Miners {
		if m.Chosen != (m.UID == 1) {
			t.Errorf("miner %d is chosen %v, want the best one's answer: %s", m.UID, m.Chosen, w.Body)
		}
	}
}

// watch waits for questions, and returns the miners' mean incentives of the
// epochs until there were 2¼ times as many.
func watch(t *testing.T, client *ledger.Client, judge *teacher, questions int64, done chan error) []float64 {
	t.Helper()
	var next uint64 // epoch to count; 0 before the questions
	var counted float64
	var sums []float64
	for deadline := time.Now().Add(20 * time.Minute); ; time.Sleep(200 * time.Millisecond) {
		select {
		case err := <-done:
			t.Fatal(errors.Join(errors.New("the network ended"), err))
		default:
		}
		graph, err := client.Metagraph(t.Context(), textNetuid)
		asked := judge.asked.Load()
		if err == nil && next == 0 && asked >= questions {
			next, sums = graph.EpochNumber+2, make([]float64, len(graph.Neurons)-1)
		}
		if err == nil && next > 0 && graph.EpochNumber >= next {
			next = graph.EpochNumber + 1
			counted++
			for i, n := range graph.Neurons[1:] {
				sums[i] += float64(n.Incentive)
			}
		}
		if counted > 3 && asked >= questions*9/4 {
			for i := range sums {
				sums[i] /= counted
			}
			return sums
		}
		if time.Now().After(deadline) {
			t.Fatal(fmt.Errorf("%d of %d questions in time, error %w", judge.asked.Load(), questions, err))
		}
	}
}

var _ subnet.Mechanism = (*teacher)(nil)

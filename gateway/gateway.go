// Package gateway is the network's front door: it takes a prompt over HTTP,
// asks several miners at once, has their answers checked and ranked, and
// answers with the best, saying who answered and how well.
//
// It speaks the OpenAI API, so existing clients work unchanged; what Plexus
// adds stands in one extra field, "plexus". Text of a miner that has not proved
// itself never reaches a user before it was checked. Start at [New]; choose.go
// says who is asked, round.go how they are listened to, and ticket.go who may
// ask and whose turn it is.
package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"github.com/plexus-network/plexus/engine"
	"github.com/plexus-network/plexus/gateway/access"
	"github.com/plexus-network/plexus/gateway/fair"
	"github.com/plexus-network/plexus/gateway/receipt"
	"github.com/plexus-network/plexus/subnet"
	"github.com/plexus-network/plexus/yuma"
	"github.com/prometheus/client_golang/prometheus"
)

// Miner is how one miner stands with the gateway's validator. Its fields are
// those of neuron.Standing, so one converts to the other.
type Miner struct {
	Peer       subnet.Peer
	Score      float64       // the validator's running score, 0 to 1; 0 also when unknown
	Incentive  uint16        // the chain's opinion, in shares of 65535
	Latency    time.Duration // usual time to the first chunk; 0 when unknown
	Rate       float64       // tokens per second; 0 when unknown
	Alive      bool          // it can be asked
	InFlight   int           // requests it is working on for this validator
	LastReason string        // why its last score was not 1; empty if it was
}

// A Backend is a subnet of the kind text, or open, as one validator sees it. Its
// methods are called from many goroutines.
type Backend interface {
	// Miners returns every miner of the subnet, in order of uid.
	Miners() []Miner

	// Ask sends body, an encoded request of the kind, to one miner and calls onChunk
	// with each piece of the answer, in order, as it comes. An error of
	// onChunk, the end of ctx or of timeout stops the miner.
	Ask(ctx context.Context, uid yuma.UID, body []byte, timeout time.Duration, onChunk func(chunk []byte) error) (subnet.Trial, error)

	// Judge checks answers, one Score per trial in order, and remembers what
	// it learned of the miners.
	Judge(ctx context.Context, trials []subnet.Trial) ([]subnet.Score, error)
}

// Model is a model that the gateway offers.
type Model struct {
	Name        string           // as clients ask for it
	Kind        string           // of the subnet: empty or "text" for a declared model, "open" for whatever its miners run
	Backend     Backend          // who answers
	Tokenizer   engine.Tokenizer // the model's; nil means no logprobs, no echo of tokens, no count before asking
	Context     int              // tokens, prompt and answer together; 0 when unknown
	MaxTokens   int              // most new tokens of one answer, of four bytes each where the kind is open; 0 means 512
	Temperature float32          // when a request names none; 0 means 1
	Created     time.Time        // as /v1/models shows it; zero means the gateway's start
	Netuid      yuma.Netuid      // the subnet that serves it
	Validator   subnet.Peer      // in whose name miners are asked
	Manifest    [32]byte         // SHA-256 of the subnet's kind parameters, for receipts
	About       engine.Model     // what its miners run; zero where unknown
	Embedder    Embedder         // gives its embeddings; nil means it has none
	Scorer      Scorer           // tells how likely a prompt is; nil means prompts get no log-probabilities

	routing *routing
}

// Limits bounds what the gateway spends. The zero value works.
type Limits struct {
	Running   int           // requests at the same time; 0 means 64
	Waiting   int           // requests that wait for their turn; more get 429; 0 means 256
	Queue     time.Duration // for a request's turn to come; 0 means 30 s
	Body      int64         // bytes of a request; 0 means 4 MiB
	Miners    int           // miners asked when a request does not say; 0 means 3
	MaxMiners int           // miners that a request may ask for; 0 means 8
	Patience  time.Duration // wait for slower answers after the first complete one; 0 means 1 s
	Hedge     time.Duration // most silence of all miners before one more is asked, which is sooner once their p95 is known; 0 means 2 s
	Stall     time.Duration // most silence of the miner whose text goes out before another takes over, likewise; 0 means 15 s
	Answer    time.Duration // for one miner to answer; 0 means 2 min
	Judge     time.Duration // for a verdict; 0 means 10 s
	Client    time.Duration // for a client to send its request or take a piece of the answer; 0 means 30 s
	Ping      time.Duration // silence in a stream before a keep-alive; 0 means 10 s
	Explore   float64       // share of prompts that also go to a miner without a name yet; 0 means 0.05, negative none
}

// Config is what a Gateway is made of. Only Models is needed.
type Config struct {
	Models   []Model
	Web      http.Handler                               // serves what is not the API's; nil means 404
	Height   func(context.Context) (yuma.Height, error) // the chain's latest height; nil leaves it out
	ChainID  string                                     // for wallets in a page; empty leaves it out
	Origins  []string                                   // web pages that may call the API, "*" for all; nil means those on this machine
	Limits   Limits
	Log      *slog.Logger         // nil means no log; never gets a prompt
	Registry *prometheus.Registry // where its metrics go and /metrics reads; nil means one of its own
	Access   *access.Access       // who may ask, and how much; nil means everybody, and anything
	Receipts *receipt.Archive     // signs and keeps what happened; nil means no receipts
	Proxies  []netip.Prefix       // whose word is taken on where a request comes from (X-Forwarded-For)
}

// A Gateway answers HTTP requests. Make one with [New].
type Gateway struct {
	models   []*Model
	limits   Limits
	height   func(context.Context) (yuma.Height, error)
	chainID  string
	origins  []string
	log      *slog.Logger
	metrics  *metrics
	handler  http.Handler
	queue    *fair.Queue   // who waits to be answered, and who is
	inside   chan struct{} // one per request that is read, waits or is answered
	access   *access.Access
	receipts *receipt.Archive
	pending  sync.Map // ids of receipts that are not signed yet
	proxies  []netip.Prefix
	settle   chan struct{} // one per round that is judged after its answer went out
	network  cache
	figures  figures

	done chan struct{}  // closed when Run ends
	late sync.WaitGroup // requests, and rounds that are judged after their answer went out
}

// New returns a gateway over c's models, or an error that says what of c is
// wrong.
func New(c Config) (*Gateway, error) {
	g := &Gateway{
		limits:  c.Limits.filled(),
		height:  c.Height,
		chainID: c.ChainID,
		origins: c.Origins,
		log:     c.Log,
		done:    make(chan struct{}),

		access: c.Access, receipts: c.Receipts, proxies: c.Proxies,
	}
	if g.log == nil {
		g.log = slog.New(slog.DiscardHandler)
	}
	if err := g.offer(c.Models); err != nil {
		return nil, err
	}
	registry := c.Registry
	if registry == nil {
		registry = prometheus.NewRegistry()
	}
	var err error
	if g.metrics, err = newMetrics(registry); err != nil {
		return nil, fmt.Errorf("gateway metrics: %w", err)
	}
	g.queue = fair.New(fair.Options{Places: g.limits.Running, Waiting: g.limits.Waiting})
	if err := g.countWaiting(registry); err != nil {
		return nil, fmt.Errorf("gateway metrics: %w", err)
	}
	g.inside = make(chan struct{}, 2*(g.limits.Running+g.limits.Waiting))
	g.settle = make(chan struct{}, g.limits.Running)
	g.handler = g.routes(registry, c.Web)
	return g, nil
}

// offer checks and keeps the models.
func (g *Gateway) offer(models []Model) error {
	if len(models) == 0 {
		return errors.New("gateway: no model to offer")
	}
	for _, m := range models {
		if m.Name == "" || m.Backend == nil {
			return fmt.Errorf("gateway: model %q needs a name and a backend", m.Name)
		}
		if g.model(m.Name) != nil {
			return fmt.Errorf("gateway: model %q is there twice", m.Name)
		}
		if m.MaxTokens == 0 {
			m.MaxTokens = 512
		}
		if m.Temperature == 0 {
			m.Temperature = 1
		}
		if m.Created.IsZero() {
			m.Created = time.Now()
		}
		if m.openEnded() {
			m.Backend = openNet{m.Backend}
		}
		m.routing = newRouting()
		g.models = append(g.models, &m)
	}
	return nil
}

// model returns the model of that name, or nil.
func (g *Gateway) model(name string) *Model {
	for _, m := range g.models {
		if m.Name == name {
			return m
		}
	}
	return nil
}

// Handler serves the gateway inside another server. Only Run waits for rounds
// that are still being judged.
func (g *Gateway) Handler() http.Handler { return g.handler }

// Listen opens a TCP address for Run, with an error that says what to do when
// another program has it.
func Listen(address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("the gateway's address %s is in use by another program; stop that or choose another address: %w", address, err)
	}
	if err != nil {
		return nil, fmt.Errorf("the gateway's address %s: %w", address, err)
	}
	return l, nil
}

// Run serves on l until ctx ends or l fails, then lets running requests end for
// at most five seconds. It closes l. A Gateway runs once.
func (g *Gateway) Run(ctx context.Context, l net.Listener) error {
	base, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	server := &http.Server{
		Handler:           g.handler,
		ReadHeaderTimeout: g.limits.Client,
		WriteTimeout:      g.limits.Client, // and again for every piece of an answer
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		BaseContext:       func(net.Listener) context.Context { return base },
		ErrorLog:          slog.NewLogLogger(g.log.Handler(), slog.LevelDebug),
	}
	looking := g.look()
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(l) }()

	var err error
	select {
	case err = <-failed:
	case <-ctx.Done():
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if server.Shutdown(grace) != nil {
			stop() // requests that are still running end now
			_ = server.Close()
		}
		err = <-failed
	}
	close(g.done)
	looking()
	g.late.Wait()
	if err != nil && !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("gateway: %w", err)
	}
	return nil
}

// filled returns l with every zero replaced by what it means.
func (l Limits) filled() Limits {
	or(&l.Running, 64)
	or(&l.Waiting, 256)
	or(&l.Queue, 30*time.Second)
	or(&l.Body, 4<<20)
	or(&l.Miners, 3)
	or(&l.MaxMiners, 8)
	or(&l.Patience, time.Second)
	or(&l.Hedge, 2*time.Second)
	or(&l.Stall, 15*time.Second)
	or(&l.Answer, 2*time.Minute)
	or(&l.Judge, 10*time.Second)
	or(&l.Client, 30*time.Second)
	or(&l.Ping, 10*time.Second)
	or(&l.Explore, 0.05)
	return l
}

func or[T comparable](p *T, fallback T) {
	var zero T
	if *p == zero {
		*p = fallback
	}
}

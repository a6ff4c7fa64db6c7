package gateway

import (
	"cmp"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/plexus-network/plexus/coin"
	"github.com/plexus-network/plexus/yuma"
)

// figures are what the gateway measured of miners lately. The zero value is
// ready.
type figures struct {
	mu     sync.Mutex
	miners map[minerKey]*measured
}

// A minerKey tells a miner from the next one in its slot.
type minerKey struct {
	model   string
	uid     yuma.UID
	account string
}

// measured is what is remembered of one miner.
type measured struct {
	rates  series // tokens per second, of answers with at least minRated tokens
	firsts series // seconds to the first text
	up     float64
	looks  float64
}

// Bounds of what is remembered.
const (
	maxMeasured = 4096     // miners
	maxSamples  = 128      // answers of each
	minRated    = 8        // tokens; fewer say little of a rate
	maxLooks    = 24 * 360 // looks that count, a day of them
	lookEvery   = 10 * time.Second
)

// A series keeps the latest samples.
type series struct {
	samples []float64
	next    int
}

func (w *series) add(x float64) {
	if len(w.samples) < maxSamples {
		w.samples = append(w.samples, x)
		return
	}
	w.samples[w.next] = x
	w.next = (w.next + 1) % maxSamples
}

// percentile is the nearest-rank percentile.
func percentile(samples []float64, q float64) *float64 {
	if len(samples) == 0 {
		return nil
	}
	s := slices.Sorted(slices.Values(samples))
	x := math.Round(s[max(int(math.Ceil(q*float64(len(s))))-1, 0)]*100) / 100
	return &x
}

// of returns what is remembered of a miner, and makes room where nothing is.
// The caller holds the lock.
func (f *figures) of(k minerKey) *measured {
	if m := f.miners[k]; m != nil {
		return m
	}
	if f.miners == nil || len(f.miners) >= maxMeasured {
		f.miners = map[minerKey]*measured{}
	}
	m := &measured{}
	f.miners[k] = m
	return m
}

// note takes in an answer that ended.
func (f *figures) note(model *Model, l *leg) {
	if l.state != complete {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	m := f.of(minerKey{model.Name, l.Peer.UID, l.Peer.Account})
	m.firsts.add(l.first.Seconds() * 1e3)
	if making := (l.total - l.first).Seconds(); len(l.tokens) >= minRated && making > 0 {
		m.rates.add(float64(len(l.tokens)) / making)
	}
}

// look sees which miners are there every now and then, until the function it
// returns is called.
func (g *Gateway) look() (stop func()) {
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(lookEvery)
		defer tick.Stop()
		for {
			for _, m := range g.models {
				g.figures.look(m)
			}
			select {
			case <-done:
				return
			case <-tick.C:
			}
		}
	})
	return func() {
		close(done)
		wg.Wait()
	}
}

func (f *figures) look(model *Model) {
	miners := model.Backend.Miners()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, one := range miners {
		m := f.of(minerKey{model.Name, one.Peer.UID, one.Peer.Account})
		if m.looks >= maxLooks { // older looks count less
			m.looks, m.up = m.looks/2, m.up/2
		}
		m.looks++
		if one.Alive {
			m.up++
		}
	}
}

// modelMiners says who stands behind a model, and how good they are.
type modelMiners struct {
	Subnet     yuma.Netuid    `json:"subnet"`
	Kind       string         `json:"kind"` // text: a declared model, to which answers are held; open: whatever the miners run
	Alive      int            `json:"miners"`
	Proven     int            `json:"proven"`              // of them, those whose text is streamed unchecked
	Precision  string         `json:"precision,omitempty"` // of the declared model's parameters; answers are held to it
	Hash       string         `json:"file_sha256,omitempty"`
	Embeddings bool           `json:"embeddings"` // /v1/embeddings takes the model
	Price      coin.Amount    `json:"price_nplx"` // of 1,000 tokens beyond a quota, prepaid; 0 where none are sold
	Score      float64        `json:"score"`      // the best verified score among its miners, 0 to 1
	Rate       *spread        `json:"tokens_per_second"`
	First      *spread        `json:"ttft_ms"` // to the first text
	Uptime     *float64       `json:"uptime"`  // of its best miner, 0 to 1; null before the first look
	Miners     []minerFigures `json:"by_miner"`
}

// spread is a distribution's middle and one of its tails.
type spread struct {
	P50 float64 `json:"p50"`
	P95 float64 `json:"p95"`
}

// minerFigures are the live figures of one miner.
type minerFigures struct {
	UID       yuma.UID `json:"uid"`
	Account   string   `json:"account"`
	Score     float64  `json:"score"` // verified, running
	Alive     bool     `json:"alive"`
	Precision string   `json:"precision,omitempty"` // what its answers are held to
	Rate      *spread  `json:"tokens_per_second"`   // null before the first answer
	First     *spread  `json:"ttft_ms"`
	Uptime    *float64 `json:"uptime"` // share of looks at which it was there, over about a day
}

// minersOf reports the live figures of a model.
func (g *Gateway) minersOf(m *Model) modelMiners {
	miners := m.Backend.Miners()
	out := modelMiners{
		Subnet: m.Netuid, Kind: cmp.Or(m.Kind, "text"), Precision: m.About.Precision, Hash: m.About.FileHash,
		Embeddings: m.Embedder != nil, Miners: []minerFigures{},
	}
	if g.access != nil {
		_, out.Price = g.access.Deposits()
	}
	for _, c := range choose(miners, 1, 0) {
		out.Alive++
		if c.proven {
			out.Proven++
		}
	}
	f := &g.figures
	f.mu.Lock()
	defer f.mu.Unlock()
	var rates, firsts []float64
	for _, one := range miners {
		r := minerFigures{UID: one.Peer.UID, Account: one.Peer.Account, Score: round4(one.Score), Alive: one.Alive, Precision: m.About.Precision}
		if seen := f.miners[minerKey{m.Name, one.Peer.UID, one.Peer.Account}]; seen != nil {
			r.Rate, r.First, r.Uptime = spreadOf(seen.rates.samples), spreadOf(seen.firsts.samples), seen.uptime()
			rates, firsts = append(rates, seen.rates.samples...), append(firsts, seen.firsts.samples...)
		}
		if one.Alive {
			out.Score = max(out.Score, r.Score)
		}
		out.Miners = append(out.Miners, r)
	}
	out.Rate, out.First = spreadOf(rates), spreadOf(firsts)
	for _, one := range out.Miners {
		if one.Uptime != nil && (out.Uptime == nil || *one.Uptime > *out.Uptime) {
			out.Uptime = one.Uptime
		}
	}
	return out
}

// spreadOf describes samples, nil when there are none.
func spreadOf(samples []float64) *spread {
	p50, p95 := percentile(samples, 0.5), percentile(samples, 0.95)
	if p50 == nil {
		return nil
	}
	return &spread{*p50, *p95}
}

func (m *measured) uptime() *float64 {
	if m.looks == 0 {
		return nil
	}
	x := round4(m.up / m.looks)
	return &x
}

package gateway

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/plexus-network/plexus/yuma"
)

// modelReport is a model as GET /v1/models shows it, to clients of the OpenAI
// API and of Anthropic's alike. Clients ignore fields that they do not know.
type modelReport struct {
	ID      string      `json:"id"`
	Object  string      `json:"object"` // "model"
	Created int64       `json:"created"`
	OwnedBy string      `json:"owned_by"`
	Context int         `json:"max_model_len,omitempty"` // as vLLM calls it
	Type    string      `json:"type"`                    // "model", for Anthropic's clients, and so the next two
	Name    string      `json:"display_name"`
	Since   string      `json:"created_at"`
	Plexus  modelMiners `json:"plexus"`
}

func (g *Gateway) reportOf(m *Model) modelReport {
	return modelReport{
		ID: m.Name, Object: "model", Created: m.Created.Unix(), OwnedBy: "plexus", Context: m.Context,
		Type: "model", Name: m.Name, Since: m.Created.UTC().Format(time.RFC3339), Plexus: g.minersOf(m),
	}
}

func (g *Gateway) listModels(w http.ResponseWriter, _ *http.Request) {
	list := make([]modelReport, len(g.models))
	for i, m := range g.models {
		list[i] = g.reportOf(m)
	}
	writeJSON(w, http.StatusOK, map[string]any{
		"object": "list", "data": list,
		"has_more": false, "first_id": list[0].ID, "last_id": list[len(list)-1].ID, // for Anthropic's clients
	})
}

func (g *Gateway) showModel(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("id")
	if m := g.model(name); m != nil {
		writeJSON(w, http.StatusOK, g.reportOf(m))
		return
	}
	noModel(name, g.models).write(w)
}

// ready tells whether some model has a miner that can be asked.
func (g *Gateway) ready(w http.ResponseWriter, _ *http.Request) {
	for _, m := range g.models {
		if slices.ContainsFunc(m.Backend.Miners(), func(m Miner) bool { return m.Alive }) {
			writeJSON(w, http.StatusOK, map[string]string{"status": "ready"})
			return
		}
	}
	noMiners(g.models[0].Name).write(w)
}

// networkReport is the network as the gateway sees it: GET /api/network.
type networkReport struct {
	ChainID string         `json:"chain_id,omitempty"`
	Height  yuma.Height    `json:"height"`  // 0 when unknown
	Running int            `json:"running"` // requests being answered
	Subnets []subnetReport `json:"subnets"` // one per model
}

type subnetReport struct {
	Netuid    yuma.Netuid      `json:"netuid"`
	Model     string           `json:"model"`
	Context   int              `json:"context"`
	MaxTokens int              `json:"max_tokens"`
	Validator peerReport       `json:"validator"`
	Miners    []standingReport `json:"miners"`
}

type standingReport struct {
	peerReport
	Score     float64  `json:"score"`      // the validator's running score, 0 to 1
	Incentive float64  `json:"incentive"`  // share of the subnet's incentive by the chain's latest epoch, 0 to 1
	Latency   *float64 `json:"latency_ms"` // usual time to the first text; null when unknown
	Rate      float64  `json:"rate"`       // tokens per second; 0 when unknown
	Alive     bool     `json:"alive"`
	InFlight  int      `json:"in_flight"`
	Reason    string   `json:"reason"` // why the last score was not 1
}

// cache keeps the latest height, so that many pages looking cost the chain no
// more than one.
type cache struct {
	mu     sync.Mutex
	height yuma.Height
	until  time.Time
}

// latest returns the chain's height, at most a third of a second old, or the
// last one known when the chain does not answer at once.
func (g *Gateway) latest(ctx context.Context) yuma.Height {
	g.network.mu.Lock()
	defer g.network.mu.Unlock()
	now := time.Now()
	if g.height == nil || now.Before(g.network.until) {
		return g.network.height
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if h, err := g.height(ctx); err == nil {
		g.network.height = h
	} else {
		g.log.Debug("the chain's height is not known", "error", err)
	}
	g.network.until = now.Add(time.Second / 3)
	return g.network.height
}

func (g *Gateway) showNetwork(w http.ResponseWriter, r *http.Request) {
	out := networkReport{ChainID: g.chainID, Height: g.latest(r.Context()), Running: g.running(), Subnets: make([]subnetReport, len(g.models))}
	for i, m := range g.models {
		s := subnetReport{
			Netuid: m.Netuid, Model: m.Name, Context: m.Context, MaxTokens: m.MaxTokens,
			Validator: peerOf(m.Validator), Miners: []standingReport{},
		}
		for _, miner := range m.Backend.Miners() {
			s.Miners = append(s.Miners, standingReport{
				peerReport: peerOf(miner.Peer), Score: round4(miner.Score), Incentive: round4(float64(miner.Incentive) / 65535),
				Latency: millis(miner.Latency.Seconds()), Rate: round4(miner.Rate), Alive: miner.Alive,
				InFlight: miner.InFlight, Reason: miner.LastReason,
			})
		}
		out.Subnets[i] = s
	}
	w.Header().Set("Cache-Control", "no-store")
	writeJSON(w, http.StatusOK, out)
}

package gateway

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/plexus-network/plexus/gateway/access"
	"github.com/plexus-network/plexus/gateway/fair"
)

// A ticket is one request's right to be answered: whose it is, the tokens set
// aside for it, and its place among those who are answered. A request has one
// from the moment it is read; its dialect calls enter once it knows what is
// asked for, and spend before anything goes out.
type ticket struct {
	g      *Gateway
	caller access.Caller
	hold   *access.Hold // nil where there are no quotas
	place  *fair.Place
	used   usage
}

type ticketKey struct{}

// enter sets tokens aside for prompts and waits for the request's turn, unless
// it has come already. It returns the problem that keeps the request out.
func enter(w http.ResponseWriter, r *http.Request, prompts ...prompt) *problem {
	return r.Context().Value(ticketKey{}).(*ticket).enter(r.Context(), w, prompts)
}

// spend notes what the request has used so far, before it goes out. It returns
// the problem that forbids to send it.
func spend(ctx context.Context, u usage) *problem {
	return ctx.Value(ticketKey{}).(*ticket).spend(ctx, u)
}

func (t *ticket) enter(ctx context.Context, w http.ResponseWriter, prompts []prompt) *problem {
	if t.place != nil {
		return nil
	}
	var prompt, completion int64
	for i := range prompts {
		prompt += prompts[i].size()
		completion += int64(prompts[i].n) * int64(prompts[i].ask.MaxTokens)
	}
	weight := 1
	if a := t.g.access; a != nil {
		var standing access.Standing
		var err error
		t.caller.MaxPrice = prompts[0].maxPrice
		t.hold, standing, err = a.Reserve(ctx, t.caller, prompts[0].model.Name, prompt, completion)
		rate(w.Header(), standing)
		if err != nil {
			return t.g.denied(w.Header(), err)
		}
		weight = standing.Weight()
	}
	wait, cancel := context.WithTimeout(ctx, t.g.limits.Queue)
	defer cancel()
	place, err := t.g.queue.Enter(wait, t.caller.Name(), weight, prompt+completion)
	var full *fair.Full
	switch {
	case err == nil:
		t.place = place
		t.g.metrics.running.Inc()
		return nil
	case ctx.Err() != nil:
		return errGone
	case errors.As(err, &full):
		_, waiting := t.g.queue.Load()
		return busy(t.g.running(), waiting, full.Wait)
	default:
		_, waiting := t.g.queue.Load()
		return busy(t.g.running(), waiting, t.g.limits.Queue)
	}
}

func (t *ticket) spend(ctx context.Context, u usage) *problem {
	t.used = u
	if t.hold == nil {
		return nil
	}
	if err := t.hold.Spend(ctx, int64(u.Prompt), int64(u.Completion)); err != nil {
		t.used = usage{} // what was noted before is what went out
		return t.g.denied(nil, err)
	}
	return nil
}

// leave pays for what was used and gives the place back.
func (t *ticket) leave(ctx context.Context) {
	if t.hold != nil {
		if err := t.hold.Settle(ctx, int64(t.used.Prompt), int64(t.used.Completion)); err != nil {
			t.g.log.Warn("a request was paid for by what was noted", "error", err)
		}
	}
	if t.place != nil {
		t.g.metrics.running.Dec()
		t.place.Leave(int64(t.used.Total))
	}
}

// size is how many tokens the prompt has at most.
func (p *prompt) size() int64 {
	if p.tokens > 0 {
		return int64(p.tokens)
	}
	const around = 16 // what a template puts around a message
	n := len(p.ask.Prompt) + around
	for _, m := range p.ask.Messages {
		n += len(m.Content) + around
	}
	return int64(n) // a token has a byte or more
}

// sofar counts what has been answered when legs' texts so far are out. Where a
// miner tells no tokens it takes one for four bytes, until the end tells.
func sofar(p *prompt, legs []*leg) usage {
	u := usageOf(p, legs...)
	for _, l := range legs {
		if l.count(p) == 0 {
			u.Completion += min((l.text.Len()+3)/4, p.ask.MaxTokens)
		}
	}
	u.Total = u.Prompt + u.Completion
	return u
}

// running is how many requests are being answered.
func (g *Gateway) running() int {
	held, _ := g.queue.Load()
	return held
}

// countWaiting registers how many requests wait for their turn.
func (g *Gateway) countWaiting(registry *prometheus.Registry) error {
	return registry.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: "plexus_gateway", Name: "requests_waiting", Help: "Requests that wait for their turn.",
	}, func() float64 {
		_, waiting := g.queue.Load()
		return float64(waiting)
	}))
}

// identify finds out who asks.
func (g *Gateway) identify(w http.ResponseWriter, r *http.Request) (access.Caller, *problem) {
	from := g.origin(r)
	if g.access == nil {
		return access.Caller{From: from}, nil
	}
	c, err := g.access.Identify(r.Context(), keyOf(r.Header), from)
	if err != nil {
		return c, g.denied(w.Header(), err)
	}
	return c, nil
}

// keyOf returns the API key of a request, as OpenAI's clients send it or as
// Anthropic's do; empty if there is none.
func keyOf(h http.Header) string {
	if scheme, key, ok := strings.Cut(h.Get("Authorization"), " "); ok && strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(key)
	}
	return strings.TrimSpace(h.Get("X-Api-Key"))
}

// origin returns the address that a request comes from: by the word of trusted
// proxies, the last in X-Forwarded-For that is none of them.
func (g *Gateway) origin(r *http.Request) netip.Addr {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	from := at.Addr().Unmap()
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0 && g.isProxy(from); i-- {
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break
		}
		from = hop.Unmap()
	}
	return from
}

func (g *Gateway) isProxy(a netip.Addr) bool {
	for _, p := range g.proxies {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// rate tells a caller's quota in the headers that OpenAI's clients know.
func rate(h http.Header, s access.Standing) {
	if s.Tier == "" {
		return
	}
	setInt(h, "X-Ratelimit-Limit-Tokens", s.Limit)
	setInt(h, "X-Ratelimit-Remaining-Tokens", s.Remaining)
	if s.Tier != access.Prepaid {
		h.Set("X-Ratelimit-Reset-Tokens", s.Left.Round(time.Millisecond).String())
	}
}

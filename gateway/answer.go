package gateway

import (
	"context"
	"errors"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"
)

// whole answers prompts in one piece.
func (g *Gateway) whole(w http.ResponseWriter, r *http.Request, prompts []prompt, v voice) *problem {
	began := time.Now()
	if bad := enter(w, r, prompts...); bad != nil {
		return bad
	}
	results := make([]result, len(prompts))
	var wg sync.WaitGroup
	for i := range prompts {
		wg.Go(func() { results[i] = g.answer(r.Context(), prompts[i], requestID(w)) })
	}
	wg.Wait()

	var choices []any
	var total usage
	var told *report
	for i, res := range results {
		if res.bad != nil {
			return res.bad
		}
		p := &prompts[i]
		for _, l := range res.legs {
			choices = append(choices, v.whole(p, piece{
				index: len(choices), text: p.echo + l.text.String(), tokens: l.tokens, finish: l.finish,
			}))
		}
		total.add(usageOf(p, res.legs...))
		if told == nil {
			told = res.report
		} else {
			told.Miners = append(told.Miners, res.report.Miners...)
			told.also(res.report)
		}
	}
	if bad := spend(r.Context(), total); bad != nil {
		return bad
	}
	g.metrics.answered(total, time.Since(began))
	told.headers(w.Header())
	g.extend(w)
	writeJSON(w, http.StatusOK, envelope{
		ID: v.prefix() + newID(), Object: v.object(false), Created: began.Unix(), Model: prompts[0].model.Name,
		Choices: choices, Usage: total.raw(), Plexus: told,
	})
	return nil
}

// result is what came of one prompt.
type result struct {
	legs   []*leg // best first
	report *report
	bad    *problem
}

// answer runs one prompt's round.
func (g *Gateway) answer(ctx context.Context, p prompt, id string) (res result) {
	defer func() {
		if e := recover(); e != nil {
			g.log.Error("answering panicked", "request", id, "panic", e, "stack", string(debug.Stack()))
			res.bad = errInternal
		}
	}()
	round, err := g.begin(ctx, p)
	if err != nil {
		return result{bad: asProblem(err, g)}
	}
	legs, err := round.best(ctx)
	if err != nil {
		round.end()
		return result{bad: asProblem(err, g)}
	}
	res = result{legs: legs, report: round.report(id, legs...)}
	g.later(ctx, round, p.strategy == First)
	return res
}

// asProblem turns an error into what a client sees of it.
func asProblem(err error, g *Gateway) *problem {
	var p *problem
	switch {
	case errors.As(err, &p):
		return p
	case errors.Is(err, context.Canceled):
		return errGone
	case errors.Is(err, context.DeadlineExceeded):
		return timedOut(g.limits.Answer)
	}
	g.log.Error("a request failed", "error", err)
	return errInternal
}

// headers tells the gist of a report before the body.
func (o *report) headers(h http.Header) {
	if o.Receipt != "" {
		h.Set("X-Receipt-Id", o.Receipt)
	}
	var asked []string
	for _, m := range o.Miners {
		asked = append(asked, strconv.Itoa(int(m.UID)))
		if !m.Chosen || h.Get("X-Plexus-Miner") != "" {
			continue
		}
		h.Set("X-Plexus-Miner", strconv.Itoa(int(m.UID)))
		h.Set("X-Plexus-Standing", strconv.FormatFloat(m.Standing, 'f', -1, 64))
		if m.Score != nil {
			h.Set("X-Plexus-Score", strconv.FormatFloat(*m.Score, 'f', -1, 64))
		}
	}
	h.Set("X-Plexus-Miners", strings.Join(asked, ","))
	h.Set("X-Plexus-Strategy", string(o.Strategy))
	h.Set("X-Plexus-Subnet", strconv.Itoa(int(o.Subnet)))
}

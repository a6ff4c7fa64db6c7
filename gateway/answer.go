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
func (g *Gateway) whole(w http.ResponseWriter, r *http.Request, prompts []prompt, m manner) *problem {
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

	all := full{head: head{newID(), began, prompts[0].model.Name}, prompts: prompts}
	for i, res := range results {
		if res.bad != nil {
			return res.bad
		}
		p := &prompts[i]
		for _, l := range res.legs {
			all.pieces = append(all.pieces, piece{
				prompt: i, index: len(all.pieces), text: p.echo + l.text.String(), tokens: l.tokens,
				finish: l.finish, stopped: l.stopped(p), first: l.first,
			})
		}
		all.usage.add(usageOf(p, res.legs...))
		if all.report == nil {
			all.report = res.report
		} else {
			all.report.Miners = append(all.report.Miners, res.report.Miners...)
			all.report.Votes = append(all.report.Votes, res.report.Votes...)
			all.report.also(res.report)
		}
	}
	if bad := spend(r.Context(), all.usage); bad != nil {
		return bad
	}
	g.metrics.answered(all.usage, time.Since(began))
	all.report.headers(w.Header())
	g.extend(w)
	writeJSON(w, http.StatusOK, m.whole(all))
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
	legs, err := round.decide(ctx)
	if err != nil {
		round.end()
		return result{bad: asProblem(err, g)}
	}
	res = result{legs: legs, report: round.report(id, each(legs)...)}
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

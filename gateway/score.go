package gateway

import (
	"context"
	"net/http"
	"time"

	"github.com/plexus-network/plexus/engine"
)

// A Scorer tells how likely a model finds a text. A validator's own engine is
// one; see engine.Text.
type Scorer interface {
	// Score returns one TokenScore for each token of continuation as it
	// follows prompt.
	Score(ctx context.Context, prompt, continuation []engine.Token) ([]engine.TokenScore, error)
}

// A promptScore is how likely a prompt's token is after those before it. The
// first follows nothing and has no log-probability.
type promptScore struct {
	engine.TokenScore
	first bool
}

// scoreAll has the gateway's own model score the prompts that are to be
// repeated with log-probabilities.
func (g *Gateway) scoreAll(ctx context.Context, prompts []prompt) *problem {
	for i := range prompts {
		p := &prompts[i]
		if p.echo == "" || !p.logprobs {
			continue
		}
		tokens, err := p.render()
		if err != nil {
			return invalid(indexed("prompt", i, ""), "prompt %d has no tokens: %v", i, err)
		}
		if p.known, err = g.scored(ctx, p.model.Scorer, tokens); err != nil {
			return asProblem(err, g)
		}
	}
	return nil
}

func (g *Gateway) scored(ctx context.Context, by Scorer, tokens []engine.Token) ([]promptScore, error) {
	known := []promptScore{{engine.TokenScore{Token: tokens[0]}, true}}
	if len(tokens) == 1 {
		return known, nil
	}
	ctx, cancel := context.WithTimeout(ctx, g.limits.Judge)
	defer cancel()
	scores, err := by.Score(ctx, tokens[:1], tokens[1:])
	for _, s := range scores {
		known = append(known, promptScore{TokenScore: s})
	}
	return known, err
}

// pure answers prompts that want no new tokens: no miner is asked.
func (g *Gateway) pure(w http.ResponseWriter, r *http.Request, prompts []prompt) *problem {
	all := full{head: head{newID(), time.Now(), prompts[0].model.Name}, prompts: prompts}
	for i := range prompts {
		p := &prompts[i]
		all.pieces = append(all.pieces, piece{prompt: i, index: i, text: p.echo, finish: engine.FinishLength})
		all.usage.add(usage{Prompt: p.tokens, Total: p.tokens})
	}
	if bad := spend(r.Context(), all.usage); bad != nil {
		return bad
	}
	g.metrics.answered(all.usage, time.Since(all.began))
	writeJSON(w, http.StatusOK, openAI{completionVoice{}}.whole(all))
	return nil
}

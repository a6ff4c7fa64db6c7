package gateway

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
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

// wantPromptLogs reads prompt_logprobs, vLLM's wish for the prompt's own
// log-probabilities: how many alternatives to each token.
func (p *prompt) wantPromptLogs(raw json.RawMessage) *problem {
	if neutral(raw, []string{"false"}) {
		return nil
	}
	const most = 20
	if err := json.Unmarshal(raw, &p.topKnown); err != nil || p.topKnown < 0 || p.topKnown > most {
		return invalid("prompt_logprobs", "prompt_logprobs is %.40s; a whole number from 0 to %d is allowed", raw, most)
	}
	switch {
	case p.stream:
		return unsupported("prompt_logprobs", "prompt_logprobs cannot be honoured in a stream: leave stream out")
	case p.model.Scorer == nil || p.model.Tokenizer == nil:
		return unsupported("prompt_logprobs", "prompt_logprobs cannot be honoured: those of the prompt are not known for %s", p.model.Name)
	}
	p.scored = true
	return nil
}

// A knownToken is a token at a place of the prompt as vLLM tells it.
type knownToken struct {
	LogProb float32 `json:"logprob"`
	Rank    *int    `json:"rank"` // 1 for the likeliest; null beyond those that the engine names
	Decoded string  `json:"decoded_token"`
}

// promptLogs are the prompt's tokens with their alternatives, each by its id;
// null where nobody asked, and for the first.
func (p *prompt) promptLogs() []map[string]knownToken {
	if !p.scored {
		return nil
	}
	out := make([]map[string]knownToken, len(p.known))
	for i, t := range p.known {
		if t.first {
			continue
		}
		out[i] = map[string]knownToken{strconv.Itoa(int(t.Token)): {t.LogProb, nil, p.logProb(t.Token, 0).Token}}
		for rank, c := range t.Top {
			rank++
			if c.Token == t.Token || rank <= p.topKnown {
				out[i][strconv.Itoa(int(c.Token))] = knownToken{c.LogProb, &rank, p.logProb(c.Token, 0).Token}
			}
		}
	}
	return out
}

// scoreAll has the gateway's own model score the prompts whose log-probabilities
// are wanted.
func (g *Gateway) scoreAll(ctx context.Context, prompts []prompt) *problem {
	for i := range prompts {
		p := &prompts[i]
		if !p.scored && (p.echo == "" || !p.logprobs) {
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

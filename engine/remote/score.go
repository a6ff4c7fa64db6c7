package remote

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/plexus-network/plexus/engine"
)

func likelier(a, b engine.Candidate) int {
	return cmp.Or(cmp.Compare(b.LogProb, a.LogProb), cmp.Compare(a.Token, b.Token))
}

// Score returns how likely each token of continuation is after prompt. Only
// vLLM can, and only where it was started with --max-logprobs 50.
func (e *Engine) Score(ctx context.Context, prompt, continuation []engine.Token) ([]engine.TokenScore, error) {
	if e.opts.Dialect != VLLM {
		return nil, fmt.Errorf("%w: the server cannot score", engine.ErrUnsupported)
	}
	if len(prompt) == 0 {
		return nil, fmt.Errorf("%w: a score needs a prompt of at least one token", engine.ErrRequest)
	}
	n := len(prompt) + len(continuation)
	// The server makes one more token, because it cannot make none.
	if e.info.Context > 0 && n+1 > e.info.Context {
		return nil, fmt.Errorf("%w: prompt, continuation and one more have %d tokens, the context holds %d", engine.ErrTooLong, n+1, e.info.Context)
	}
	if len(continuation) == 0 {
		return nil, nil
	}
	var answer struct {
		Choices []struct {
			Scores []map[string]struct {
				LogProb float32 `json:"logprob"`
			} `json:"prompt_logprobs"`
		}
	}
	err := e.exchange(ctx, "/completions", body{
		Model: e.opts.Model, Prompt: slices.Concat(prompt, continuation), MaxTokens: 1, PromptLogprobs: engine.MaxTop,
	}, &answer)
	if errors.Is(err, engine.ErrRequest) {
		return nil, fmt.Errorf("%w: the server gives no %d alternatives per token (vLLM: --max-logprobs %d): %w",
			engine.ErrUnsupported, engine.MaxTop, engine.MaxTop, err)
	}
	if err != nil {
		return nil, err
	}
	if len(answer.Choices) == 0 || len(answer.Choices[0].Scores) != n {
		return nil, fmt.Errorf("%w: the server did not score the prompt", engine.ErrUnsupported)
	}
	out := make([]engine.TokenScore, len(continuation))
	for i, t := range continuation {
		s := engine.TokenScore{Token: t, LogProb: float32(math.Inf(-1))}
		for text, p := range answer.Choices[0].Scores[len(prompt)+i] {
			id, err := strconv.ParseInt(text, 10, 32)
			if err != nil || id < 0 || p.LogProb != p.LogProb {
				return nil, fmt.Errorf("score: the server names a token %.40q", text)
			}
			c := engine.Candidate{Token: engine.Token(id), LogProb: min(p.LogProb, 0)}
			if c.Token == t {
				s.LogProb = c.LogProb
			}
			s.Top = append(s.Top, c)
		}
		if math.IsInf(float64(s.LogProb), -1) {
			return nil, fmt.Errorf("score: the server did not score token %d", i)
		}
		slices.SortFunc(s.Top, likelier)
		s.Top = s.Top[:min(len(s.Top), engine.MaxTop)]
		out[i] = s
	}
	return out, nil
}

// Embed returns a vector of norm 1 per text, or engine.ErrUnsupported where
// the server has no embeddings for the model.
func (e *Engine) Embed(ctx context.Context, texts []string) ([][]float32, error) {
	if len(texts) == 0 {
		return nil, nil
	}
	var answer struct {
		Data []struct {
			Index     int
			Embedding []float32
		}
	}
	err := e.exchange(ctx, "/embeddings", map[string]any{"model": e.opts.Model, "input": texts}, &answer)
	if err != nil {
		return nil, err
	}
	out := make([][]float32, len(texts))
	for _, d := range answer.Data {
		if d.Index < 0 || d.Index >= len(out) || out[d.Index] != nil || len(d.Embedding) == 0 {
			return nil, fmt.Errorf("embed: the server's vector %d does not fit %d texts", d.Index, len(texts))
		}
		out[d.Index] = normalized(d.Embedding)
	}
	for i, v := range out {
		if v == nil || len(v) != len(out[0]) {
			return nil, fmt.Errorf("embed: the server's vector %d of %d is missing or of another length", i, len(texts))
		}
	}
	return out, nil
}

func normalized(v []float32) []float32 {
	sum := 0.0
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	if sum == 0 {
		return v
	}
	for i, x := range v {
		v[i] = float32(float64(x) / math.Sqrt(sum))
	}
	return v
}

package remote

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"

	"github.com/plexus-network/plexus/engine"
	"github.com/plexus-network/plexus/engine/batch"
	"github.com/plexus-network/plexus/engine/bpe"
	"github.com/plexus-network/plexus/engine/chat"
	"github.com/plexus-network/plexus/engine/gguf"
)

// Steps returns an engine that has the server compute and picks the tokens
// itself, one request a token, so that sampler S1 holds at every temperature.
// That is how a miner serves a subnet from a server of the dialects [VLLM] and
// [LlamaCpp]; servers keep the keys and values of what they saw, so that a step
// costs them one token. The tokenizer and the chat template are those of the
// GGUF file at path, of whose parameters nothing is read; that the server runs
// that very model is for its owner to know. The engine owns e.
//
// The server must tell engine.MaxTop log-probabilities: vllm serve
// --max-logprobs 50.
func Steps(e *Engine, path string, o batch.Options) (*batch.Engine, error) {
	if !e.telling() {
		return nil, fmt.Errorf("%w: only servers of the dialects vllm and llamacpp tell the token ids that a miner has to answer with", engine.ErrUnsupported)
	}
	f, err := gguf.Open(path)
	if err != nil {
		return nil, err
	}
	if err := f.Check(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	hash, err := gguf.Hash(path)
	if err != nil {
		return nil, err
	}
	vocab, err := bpe.New(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	template, err := chat.New(f.Text("tokenizer.chat_template"), vocab)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	context := f.Arch("context_length", 0)
	if e.info.Context > 0 {
		context = min(context, e.info.Context)
	}
	return batch.New(engine.Model{
		Name:         f.Text("general.name"),
		Architecture: f.Architecture(),
		Precision:    f.Precision(),
		Parameters:   f.Parameters(),
		Context:      context,
		Vocabulary:   vocab.Size(),
		FileHash:     hash,
	}, &steps{server: e, vocabulary: vocab.Size(), slots: map[int][]engine.Token{}}, vocab, template, o), nil
}

// steps is a batch.Model whose rows a server computes.
type steps struct {
	server     *Engine
	vocabulary int
	slots      map[int][]engine.Token
	logits     []engine.Logits // of the latest rows
}

// Decode keeps rows, and asks the server about those whose scores are wanted.
func (s *steps) Decode(rows []batch.Row) error {
	s.logits = make([]engine.Logits, len(rows))
	errs := make([]error, len(rows))
	var wg sync.WaitGroup
	for i, r := range rows {
		s.slots[r.Slot] = append(s.slots[r.Slot][:r.Position], r.Token)
		if r.Logits {
			seen := slices.Clone(s.slots[r.Slot])
			wg.Go(func() { s.logits[i], errs[i] = s.next(seen) })
		}
	}
	wg.Wait()
	return errors.Join(errs...)
}

// next asks for the token that follows seen.
func (s *steps) next(seen []engine.Token) (engine.Logits, error) {
	var top []engine.Candidate
	_, err := s.server.Chat(context.Background(), engine.ChatRequest{Tokens: seen, MaxTokens: 1, TopCount: engine.MaxTop},
		func(d engine.Delta) error {
			if len(d.Tokens) > 0 && top == nil {
				top = d.Tokens[0].Top
			}
			return nil
		})
	if err != nil {
		return nil, err
	}
	return spread(top, s.vocabulary)
}

// spread makes the scores of a whole vocabulary out of the likeliest tokens':
// what they leave of the probability is shared evenly by all others, each of
// which stays below them.
func spread(top []engine.Candidate, vocabulary int) (engine.Logits, error) {
	if len(top) < min(engine.MaxTop, vocabulary) {
		return nil, fmt.Errorf("%w: the server tells %d log-probabilities of a token, sampler S1 looks at %d: allow as many there (vllm serve --max-logprobs %d)",
			engine.ErrUnsupported, len(top), engine.MaxTop, engine.MaxTop)
	}
	rest := 1.0
	least := math.Inf(1)
	for _, c := range top {
		rest -= math.Exp(float64(c.LogProb))
		least = min(least, float64(c.LogProb))
	}
	other := math.Inf(-1)
	if n := vocabulary - len(top); n > 0 && rest > 0 {
		other = min(math.Log(rest/float64(n)), least-1e-3)
	}
	l := make(engine.Logits, vocabulary)
	for i := range l {
		l[i] = float32(other)
	}
	for _, c := range top {
		if int(c.Token) >= vocabulary {
			return nil, fmt.Errorf("the server says token %d, the vocabulary has %d: does it run the declared model?", c.Token, vocabulary)
		}
		l[c.Token] = c.LogProb
	}
	return l, nil
}

// Logits returns the scores that row i of the last Decode asked for.
func (s *steps) Logits(i int) engine.Logits { return s.logits[i] }

// Partial says that the server tells the likeliest tokens only.
func (s *steps) Partial() {}

// Trim forgets a slot's rows from position n on.
func (s *steps) Trim(slot, n int) int {
	s.slots[slot] = s.slots[slot][:min(n, len(s.slots[slot]))]
	return len(s.slots[slot])
}

// Copy makes the slot to equal to the slot from.
func (s *steps) Copy(from, to int) {
	s.slots[to] = slices.Clone(s.slots[from])
}

// Embed is not what such a server is for.
func (s *steps) Embed([]engine.Token) ([]float32, error) { return nil, engine.ErrUnsupported }

// Close lets go of the server.
func (s *steps) Close() { _ = s.server.Close() }

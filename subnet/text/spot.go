package text

import (
	"context"
	crand "crypto/rand"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/plexus-network/plexus/engine"
)

// spots is how many tokens of an answer a checker looks at whose engine cannot
// score a prompt. Each costs it one token made, and with a prefix cache all of
// them about one prefill (reference: LOGIC of inference.net, which looks at ten).
const spots = 16

// widths are the numbers of alternatives asked for at a spot: as many as S1
// looks at, or as many as a server gives.
var widths = []int{engine.MaxTop, 20, 5}

// spot compares some tokens, at random places, with what the checker's model
// says there when it is asked for one token. Known tells whether the last of
// the margins is the last token's.
func (f form) spot(ctx context.Context, tokens []engine.TokenScore, s engine.Sampling) (margins []float64, far float64, known bool, err error) {
	var seed [32]byte
	crand.Read(seed[:])
	places := rand.New(rand.NewChaCha8(seed)).Perm(len(tokens) - 1)
	places = append(places[:min(spots, len(places))], len(tokens)-1) // where it ends matters most
	slices.Sort(places)                                              // so that each prompt begins as the one before
	ids := slices.Concat(f.prompt, idsOf(tokens))
	for _, i := range places {
		reference, err := f.look(ctx, ids[:len(f.prompt)+i], tokens[i].Token)
		if err != nil {
			return nil, 0, false, err
		}
		far += distance(tokens[i].Top, reference.Top) / float64(len(places))
		var m float64
		if m, known = spotMargin(s, reference, len(f.prompt)+i, tokens[i].Token); known {
			margins = append(margins, m)
		}
	}
	return margins, far, known, nil
}

// look asks the engine for the token after prefix and what else it might be.
func (f form) look(ctx context.Context, prefix []engine.Token, token engine.Token) (engine.TokenScore, error) {
	var err error
	for _, width := range widths {
		found := engine.TokenScore{Token: token, LogProb: float32(math.Inf(-1))}
		_, err = f.engine.Chat(ctx, engine.ChatRequest{Tokens: prefix, MaxTokens: 1, TopCount: width}, func(d engine.Delta) error {
			for _, t := range d.Tokens {
				found.Top = t.Top
			}
			return nil
		})
		if errors.Is(err, engine.ErrRequest) {
			continue // the server gives fewer
		}
		if err != nil {
			return found, err
		}
		if len(found.Top) == 0 {
			return found, fmt.Errorf("%w: it tells no log-probabilities, so answers cannot be checked with it", engine.ErrUnsupported)
		}
		for _, c := range found.Top {
			if c.Token == token {
				found.LogProb = c.LogProb
			}
		}
		return found, nil
	}
	return engine.TokenScore{}, err
}

// spotMargin is a margin of which a short list of candidates lets at least
// as much be known; known is false where it tells nothing.
func spotMargin(s engine.Sampling, reference engine.TokenScore, position int, token engine.Token) (m float64, known bool) {
	listed := !math.IsInf(float64(reference.LogProb), -1)
	switch {
	case listed || len(reference.Top) >= engine.MaxTop:
		return margin(s, reference, position, token), true
	case s.Temperature == 0:
		last := reference.Top[len(reference.Top)-1]
		return float64(reference.Top[0].LogProb - last.LogProb), true
	default:
		return 0, false
	}
}

// examineSpots is replay for engines that cannot score.
func (f form) examineSpots(ctx context.Context, r reply, s engine.Sampling) (x Examination, err error) {
	x.Class = classOf(s)
	var known bool
	if x.Margins, x.Distance, known, err = f.spot(ctx, r.tokens, s); err != nil {
		return x, err
	}
	x.end(known && f.engine.Ends(r.tokens[len(r.tokens)-1].Token))
	if len(r.probe) > 0 {
		x.Probe, _, _, err = f.spot(ctx, r.probe, probeSampling(s.Seed))
	}
	return x, err
}

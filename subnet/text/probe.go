package text

import (
	"context"
	"fmt"

	"github.com/plexus-network/plexus/engine"
)

// At temperature 0 all who run the model say the same, so a right answer does
// not show who made it: a miner could fetch it from another. Such an answer
// therefore comes with a probe, the first tokens of another answer to the same
// prompt at the highest temperature, where luck decides most and luck is bound
// to the miner. It is checked like any answer and shown to nobody.

// probeTopK is how many candidates a probe's tokens are picked from. It is less
// than what a score lists, so that the border can be looked at from both sides.
const probeTopK = 40

func probeSampling(seed engine.Seed) engine.Sampling {
	return engine.Sampling{Temperature: engine.MaxTemperature, TopK: probeTopK, Seed: seed}
}

// probeLength is how many tokens the probe of an answer to prompt has; 0 means
// that none is due.
func (m *Mechanism) probeLength(s engine.Sampling, prompt int) int {
	if s.Temperature > 0 || m.manifest.Probe < 0 || m.manifest.Sampler != Sampler {
		return 0
	}
	n := m.manifest.Probe
	if c := m.engine.Model().Context; c > 0 {
		n = min(n, c-prompt-contextSlack)
	}
	return max(n, 0)
}

// probe makes the probe of an answer.
func (m *Mechanism) probe(ctx context.Context, prompt []engine.Token, s engine.Sampling) ([]engine.TokenScore, error) {
	n := m.probeLength(s, len(prompt))
	if n == 0 {
		return nil, nil
	}
	var probe []engine.TokenScore
	_, err := m.engine.Chat(ctx, engine.ChatRequest{
		Tokens: prompt, MaxTokens: n, Sampling: probeSampling(s.Seed),
	}, func(d engine.Delta) error {
		probe = append(probe, d.Tokens...)
		return nil
	})
	return probe, err
}

// brokenProbe says in words what no honest miner's probe has, or "".
func (f form) brokenProbe(probe []engine.TokenScore) string {
	if len(probe) > f.probe || len(probe) < f.probe && (len(probe) == 0 || !f.engine.Ends(probe[len(probe)-1].Token)) {
		return fmt.Sprintf("a probe of %d tokens, %d were due", len(probe), f.probe)
	}
	for i, t := range probe {
		switch {
		case f.vocabulary() > 0 && int(t.Token) >= f.vocabulary():
			return fmt.Sprintf("token %d of the probe is %d, the vocabulary has %d", i, t.Token, f.vocabulary())
		case i < len(probe)-1 && f.engine.Ends(t.Token):
			return "the probe goes on after its end"
		}
	}
	return ""
}

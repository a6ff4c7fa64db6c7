package embed

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"sync/atomic"

	"github.com/plexus-network/plexus/engine"
)

// toy is a model that knows no language: a text's vector is a sum of random
// ones for its words, leaning to one side as those of language models do.
type toy struct {
	id    uint64
	noise float64 // of rounding, of each number
	cut   int     // bytes read of a text; 0 reads all
	calls atomic.Int64
	fail  error
}

const toyWidth = 32

func (e *toy) Model() engine.Model {
	h := sha256.Sum256(fmt.Append(nil, "toy", e.id))
	return engine.Model{Name: "toy", Precision: "toy", Context: 4096, FileHash: hex.EncodeToString(h[:])}
}

func (e *toy) Embed(ctx context.Context, texts []string) ([][]float32, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if e.fail != nil {
		return nil, e.fail
	}
	var out [][]float32
	for _, s := range texts {
		if len(s) > 4*4096 {
			return nil, engine.ErrTooLong
		}
		out = append(out, e.vector(s))
	}
	return out, nil
}

func (e *toy) vector(text string) []float32 {
	if e.cut > 0 {
		text = beginning(text, e.cut)
	}
	noise := rand.New(rand.NewPCG(e.id, uint64(e.calls.Add(1))))
	sum := make([]float64, toyWidth)
	words := strings.Fields(text)
	for _, w := range append(words, "") {
		h := sha256.Sum256(fmt.Append(nil, e.id, w))
		dice := rand.New(rand.NewPCG(binary.BigEndian.Uint64(h[:]), 0))
		for i := range sum {
			sum[i] += (2 + dice.NormFloat64()) / float64(len(words)+1)
		}
	}
	norm := 0.0
	for i := range sum {
		sum[i] += e.noise * noise.NormFloat64()
		norm += sum[i] * sum[i]
	}
	v := make([]float32, toyWidth)
	for i := range v {
		v[i] = float32(sum[i] / math.Sqrt(norm))
	}
	return v
}

func (e *toy) Encode(text string) ([]engine.Token, error) {
	return make([]engine.Token, (len(text)+3)/4), nil
}

func (*toy) Chat(context.Context, engine.ChatRequest, func(engine.Delta) error) (engine.Usage, error) {
	return engine.Usage{}, engine.ErrUnsupported
}

func (*toy) Score(context.Context, []engine.Token, []engine.Token) ([]engine.TokenScore, error) {
	return nil, engine.ErrUnsupported
}
func (*toy) Close() error                                    { return nil }
func (*toy) Render([]engine.Message) ([]engine.Token, error) { return nil, engine.ErrUnsupported }
func (*toy) Decode([]engine.Token) string                    { return "" }
func (*toy) Ends(engine.Token) bool                          { return false }

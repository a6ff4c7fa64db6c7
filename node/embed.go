package node

import (
	"context"

	"github.com/plexus-network/plexus/engine"
)

// embedder gives the gateway's users the embeddings of the declared model, by
// the validator's own engine.
type embedder struct{ engine engine.Checker }

// Embed returns a vector per text and the tokens of all.
func (e embedder) Embed(ctx context.Context, texts []string) ([][]float32, int, error) {
	n := 0
	for _, s := range texts {
		tokens, err := e.engine.Encode(s)
		if err != nil {
			return nil, 0, err
		}
		n += len(tokens)
	}
	vectors, err := e.engine.Embed(ctx, texts)
	return vectors, n, err
}

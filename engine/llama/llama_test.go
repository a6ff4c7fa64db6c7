//go:build cgo

package llama_test

import (
	"math"
	"testing"

	"github.com/plexus-network/plexus/engine"
	"github.com/plexus-network/plexus/engine/enginetest"
	"github.com/plexus-network/plexus/engine/gguf"
	"github.com/plexus-network/plexus/engine/llama"
	"github.com/plexus-network/plexus/engine/ref"
)

func TestAgrees(t *testing.T) {
	for _, ty := range []gguf.Type{gguf.F32, gguf.F16, gguf.Q8_0} {
	path := enginetest.RandomModel(t, enginetest.Shape{Type: ty})
	a, err := ref.Open(path, ref.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	b, err := llama.Open(path, llama.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	msgs := []engine.Message{{Role: engine.User, Content: "hello the network <|im_end|> it's 12  wörld\n\n"}}
	pa, _ := a.Render(msgs)
	pb, _ := b.Render(msgs)
	t.Log(pa)
	t.Log(pb)
	var toks [2][]engine.Token
	for i, e := range []engine.Checker{a, b} {
		u, err := e.Chat(t.Context(), engine.ChatRequest{Messages: msgs, MaxTokens: 60}, func(d engine.Delta) error {
			for _, x := range d.Tokens { toks[i] = append(toks[i], x.Token) }
			return nil
		})
		t.Logf("%+v %v %v", u, toks[i], err)
	}
	sa, err := a.Score(t.Context(), pa, toks[0])
	if err != nil { t.Fatal(err) }
	sb, err := b.Score(t.Context(), pa, toks[0])
	if err != nil { t.Fatal(err) }
	sum, most := 0.0, 0.0
	for i := range sa {
		d := math.Abs(float64(sa[i].LogProb-sb[i].LogProb))
		sum += d
		most = max(most, d)
	}
	va, err := a.Embed(t.Context(), []string{"the network"})
	vb, err2 := b.Embed(t.Context(), []string{"the network"})
	dot := 0.0
	for i := range va[0] { dot += float64(va[0][i]*vb[0][i]) }
	t.Log(ty, "mean", sum/float64(len(sa)), "most", most, "cos", dot, err, err2)
	}
}

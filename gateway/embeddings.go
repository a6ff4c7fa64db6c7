package gateway

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strings"
	"time"

	"github.com/plexus-network/plexus/engine"
	"github.com/plexus-network/plexus/subnet/text"
)

// An Embedder turns texts into vectors.
type Embedder interface {
	// Embed returns a vector of norm 1 per text, all of one length, and how
	// many tokens the texts have together. It returns engine.ErrTooLong for a
	// text that the model cannot take whole. Its callers bound the texts in
	// number and size.
	Embed(ctx context.Context, texts []string) (vectors [][]float32, tokens int, err error)
}

// Bounds of a request for embeddings.
const (
	maxInputs = 256
	maxInput  = 64 << 10 // bytes of one text
)

// embeddings is a request for vectors after its dialect is off.
type embeddings struct {
	model  *Model
	texts  []string
	tokens int // in all texts; known when they were embedded
}

// embed runs a request. A dialect words the outcome.
func (g *Gateway) embed(w http.ResponseWriter, r *http.Request, e *embeddings) ([][]float32, *problem) {
	if bad := enter(w, r, prompt{model: e.model, ask: text.Request{Prompt: strings.Join(e.texts, " ")}}); bad != nil {
		return nil, bad
	}
	ctx, cancel := context.WithTimeout(r.Context(), g.limits.Answer)
	defer cancel()
	began := time.Now()
	vectors, tokens, err := e.model.Embedder.Embed(ctx, e.texts)
	switch {
	case errors.Is(err, engine.ErrTooLong):
		bad := invalid("input", "a text of input is longer than %s takes, %d tokens; shorten it", e.model.Name, e.model.Context)
		bad.code = "context_length_exceeded"
		return nil, bad
	case errors.Is(err, engine.ErrUnsupported):
		return nil, noEmbeddings(e.model.Name)
	case err != nil:
		return nil, asProblem(err, g)
	case len(vectors) != len(e.texts):
		return nil, asProblem(fmt.Errorf("embeddings: %d vectors for %d texts", len(vectors), len(e.texts)), g)
	}
	e.tokens = tokens
	used := usage{Prompt: tokens, Total: tokens}
	if bad := spend(ctx, used); bad != nil {
		return nil, bad
	}
	g.metrics.answered(used, time.Since(began))
	return vectors, nil
}

func noEmbeddings(model string) *problem {
	return unsupported("model", "%s gives no embeddings; GET /v1/models says which models do", model)
}

// input reads what to embed: a text, a list of texts, a list of token ids, or
// a list of such lists.
func (g *Gateway) input(model string, raw json.RawMessage) (e embeddings, bad *problem) {
	if model == "" {
		return e, invalid("model", "model is missing; GET /v1/models lists what is offered")
	}
	if e.model = g.model(model); e.model == nil {
		return e, noModel(model, g.models)
	}
	if e.model.Embedder == nil {
		return e, noEmbeddings(model)
	}
	list, bad := readWords("input", raw, maxInputs)
	if bad != nil {
		return e, bad
	}
	for i, one := range list {
		said, bad := e.model.embeddable(one, indexed("input", i, ""))
		if bad != nil {
			return e, bad
		}
		e.texts = append(e.texts, said)
	}
	return e, nil
}

// embeddable returns one input as text.
func (m *Model) embeddable(one words, at string) (string, *problem) {
	if len(one.tokens) > 0 {
		if m.Tokenizer == nil {
			return "", unsupported(at, "token ids cannot be read for %s, whose tokenizer is not known here; send text", m.Name)
		}
		one.text = m.Tokenizer.Decode(one.tokens)
		if one.text == "" {
			return "", invalid(at, "%s has tokens without any text", at)
		}
	}
	if len(one.text) > maxInput {
		return "", invalid(at, "%s has %d bytes; at most %d are allowed", at, len(one.text), maxInput)
	}
	return one.text, nil
}

type embeddingReport struct {
	Object string `json:"object"` // "embedding"
	Index  int    `json:"index"`
	Vector any    `json:"embedding"`
}

// openAIEmbeddings serves POST /v1/embeddings.
func (g *Gateway) openAIEmbeddings(w http.ResponseWriter, r *http.Request, body []byte) *problem {
	var in struct {
		Model      string          `json:"model"`
		Input      json.RawMessage `json:"input"`
		Format     string          `json:"encoding_format"`
		Dimensions *int            `json:"dimensions"`
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return notJSON(err)
	}
	if in.Format != "" && in.Format != "float" && in.Format != "base64" {
		return invalid("encoding_format", "encoding_format is %.40q; float and base64 are known", in.Format)
	}
	e, bad := g.input(in.Model, in.Input)
	if bad != nil {
		return bad
	}
	vectors, bad := g.embed(w, r, &e)
	if bad != nil {
		return bad
	}
	if bad := fits(in.Dimensions, vectors); bad != nil {
		return bad
	}
	list := make([]embeddingReport, len(vectors))
	for i, v := range vectors {
		list[i] = embeddingReport{Object: "embedding", Index: i, Vector: v}
		if in.Format == "base64" {
			list[i].Vector = littleEndian(v)
		}
	}
	writeJSON(w, http.StatusOK, map[string]any{
		"object": "list", "data": list, "model": in.Model,
		"usage": map[string]int{"prompt_tokens": e.tokens, "total_tokens": e.tokens},
	})
	return nil
}

// fits refuses dimensions other than the vectors' own: a vector that was not
// made to be cut says something else when it is.
func fits(dimensions *int, vectors [][]float32) *problem {
	if dimensions == nil || *dimensions == len(vectors[0]) {
		return nil
	}
	return unsupported("dimensions", "dimensions is %d; this model's vectors have %d and cannot be cut", *dimensions, len(vectors[0]))
}

// littleEndian is a vector's float32 numbers, lowest byte first, in base64.
func littleEndian(v []float32) string {
	b := make([]byte, 0, 4*len(v))
	for _, f := range v {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(f))
	}
	return base64.StdEncoding.EncodeToString(b)
}

// ollamaEmbed serves POST /api/embed.
func (g *Gateway) ollamaEmbed(w http.ResponseWriter, r *http.Request, body []byte) *problem {
	var in struct {
		Model      string          `json:"model"`
		Input      json.RawMessage `json:"input"`
		Dimensions *int            `json:"dimensions"`
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return notJSON(err)
	}
	began := time.Now()
	e, bad := g.input(g.ollamaName(in.Model), in.Input)
	if bad != nil {
		return bad
	}
	vectors, bad := g.embed(w, r, &e)
	if bad != nil {
		return bad
	}
	if bad := fits(in.Dimensions, vectors); bad != nil {
		return bad
	}
	writeJSON(w, http.StatusOK, map[string]any{
		"model": in.Model, "embeddings": vectors, "total_duration": time.Since(began), "load_duration": 0,
		"prompt_eval_count": e.tokens,
	})
	return nil
}

// ollamaOldEmbeddings serves POST /api/embeddings, which takes one text.
func (g *Gateway) ollamaOldEmbeddings(w http.ResponseWriter, r *http.Request, body []byte) *problem {
	var in struct {
		Model  string          `json:"model"`
		Prompt json.RawMessage `json:"prompt"`
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return notJSON(err)
	}
	e, bad := g.input(g.ollamaName(in.Model), in.Prompt)
	if bad != nil {
		return bad
	}
	vectors, bad := g.embed(w, r, &e)
	if bad != nil {
		return bad
	}
	writeJSON(w, http.StatusOK, map[string]any{"embedding": vectors[0]})
	return nil
}

package gateway

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// ollamaLevel is the release of Ollama whose API is followed here. Clients
// look at it to learn what they may ask for.
const ollamaLevel = "0.17.4"

// ollamaModel is a model as GET /api/tags and /api/ps list it.
type ollamaModel struct {
	Name     string        `json:"name"`
	Model    string        `json:"model"`
	Modified string        `json:"modified_at"`
	Expires  string        `json:"expires_at,omitempty"`
	Size     int64         `json:"size"` // of the file in bytes; 0 when unknown
	VRAM     int64         `json:"size_vram"`
	Digest   string        `json:"digest"` // sha256 of the file in hex; empty when unknown
	Details  ollamaDetails `json:"details"`
	Plexus   modelMiners   `json:"plexus"`
}

type ollamaDetails struct {
	Parent   string   `json:"parent_model"`
	Format   string   `json:"format"`
	Family   string   `json:"family"`
	Families []string `json:"families"`
	Size     string   `json:"parameter_size"`
	Level    string   `json:"quantization_level"`
}

func (m *Model) ollama() ollamaModel {
	return ollamaModel{
		Name: m.Name, Model: m.Name, Modified: m.Created.UTC().Format(time.RFC3339Nano),
		Digest: m.About.FileHash, Details: m.ollamaDetails(),
	}
}

func (m *Model) ollamaDetails() ollamaDetails {
	d := ollamaDetails{Format: "gguf", Family: m.About.Architecture, Families: []string{}, Level: m.About.Precision}
	if d.Family != "" {
		d.Families = append(d.Families, d.Family)
	}
	switch n := float64(m.About.Parameters); {
	case n >= 1e9:
		d.Size = fmt.Sprintf("%.1fB", n/1e9)
	case n > 0:
		d.Size = fmt.Sprintf("%.1fM", n/1e6)
	}
	return d
}

// ollamaTags serves GET /api/tags: what is offered.
func (g *Gateway) ollamaTags(w http.ResponseWriter, _ *http.Request) {
	list := make([]ollamaModel, len(g.models))
	for i, m := range g.models {
		list[i] = m.ollama()
		list[i].Plexus = g.minersOf(m)
	}
	writeJSON(w, http.StatusOK, map[string]any{"models": list})
}

// ollamaRunning serves GET /api/ps: the models that some miner can answer for
// now. They do not expire while the gateway runs.
func (g *Gateway) ollamaRunning(w http.ResponseWriter, _ *http.Request) {
	list := []ollamaModel{}
	for _, m := range g.models {
		one := m.ollama()
		if one.Plexus = g.minersOf(m); one.Plexus.Alive == 0 {
			continue
		}
		one.Expires = time.Now().Add(24 * time.Hour).UTC().Format(time.RFC3339)
		list = append(list, one)
	}
	writeJSON(w, http.StatusOK, map[string]any{"models": list})
}

// ollamaVersion serves GET /api/version.
func (g *Gateway) ollamaVersion(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]string{"version": ollamaLevel})
}

// ollamaShow serves POST /api/show.
func (g *Gateway) ollamaShow(w http.ResponseWriter, _ *http.Request, body []byte) *problem {
	var in struct {
		Model string `json:"model"`
		Name  string `json:"name"` // as older clients call it
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return notJSON(err)
	}
	if in.Model == "" {
		in.Model = in.Name
	}
	name := g.ollamaName(in.Model)
	m := g.model(name)
	if m == nil {
		return noModel(name, g.models)
	}
	info := map[string]any{
		"general.architecture": m.About.Architecture, "general.basename": m.Name,
		"general.parameter_count": m.About.Parameters,
	}
	if m.Context > 0 && m.About.Architecture != "" {
		info[m.About.Architecture+".context_length"] = m.Context
	}
	capabilities := []string{"completion", "tools"}
	if m.Embedder != nil {
		capabilities = append(capabilities, "embedding")
	}
	writeJSON(w, http.StatusOK, map[string]any{
		"modelfile": "FROM " + m.Name + "\n", "parameters": "", "template": "", "license": "",
		"details": m.ollamaDetails(), "model_info": info, "capabilities": capabilities,
		"modified_at": m.Created.UTC().Format(time.RFC3339Nano), "plexus": g.minersOf(m),
	})
	return nil
}

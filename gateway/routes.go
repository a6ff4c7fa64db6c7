package gateway

import (
	"net/http"
	"strconv"
	"time"
)

// routeDialects serves what other APIs than OpenAI's chat and completions have.
func (g *Gateway) routeDialects(mux *http.ServeMux) {
	for path, route := range map[string]struct {
		name string
		next dialect
	}{
		"/v1/responses":             {"responses", g.responses},
		"/v1/embeddings":            {"embeddings", g.openAIEmbeddings},
		"/v1/messages":              {"messages", g.anthropic},
		"/v1/messages/count_tokens": {"count_tokens", g.countTokens},
		"/api/chat":                 {"ollama_chat", g.ollamaChat},
		"/api/generate":             {"ollama_generate", g.ollamaGenerate},
		"/api/embed":                {"ollama_embed", g.ollamaEmbed},
		"/api/embeddings":           {"ollama_embeddings", g.ollamaOldEmbeddings},
		"/api/show":                 {"ollama_show", g.ollamaShow},
	} {
		mux.Handle(path, g.only(http.MethodPost, g.admitted(route.name, route.next)))
	}
	mux.Handle("/v1/responses/", http.HandlerFunc(noStoredResponse))
	mux.Handle("/api/tags", g.only(http.MethodGet, g.ollamaTags))
	mux.Handle("/api/ps", g.only(http.MethodGet, g.ollamaRunning))
	mux.Handle("/api/version", g.only(http.MethodGet, g.ollamaVersion))
}

// rateHeaders are those that say what a client may still ask for.
const rateHeaders = "X-Ratelimit-Limit-Requests, X-Ratelimit-Remaining-Requests, X-Ratelimit-Reset-Requests, " +
	"X-Ratelimit-Limit-Tokens, X-Ratelimit-Remaining-Tokens, X-Ratelimit-Reset-Tokens"

// tellRoom says how many requests the gateway still takes at this moment. What
// a key may spend is told in the same headers, by whoever counts that.
func (g *Gateway) tellRoom(h http.Header) {
	left, reset := cap(g.inside)-len(g.inside)-1, time.Duration(0)
	if left < 0 {
		left, reset = 0, time.Second
	}
	h.Set("X-Ratelimit-Limit-Requests", strconv.Itoa(cap(g.inside)))
	h.Set("X-Ratelimit-Remaining-Requests", strconv.Itoa(left))
	h.Set("X-Ratelimit-Reset-Requests", reset.String())
}

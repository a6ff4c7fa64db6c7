package gateway

import (
	"net/http"
	"slices"
	"strings"
)

// A wording is how a dialect shows an error. It returns what has a JSON form.
type wording func(p *problem, requestID string) any

// wordingFor returns the wording of the dialect that r speaks, or nil for that
// of the OpenAI API.
func wordingFor(r *http.Request) wording {
	path := r.URL.Path
	switch {
	case path == "/v1/messages" || strings.HasPrefix(path, "/v1/messages/"):
		return anthropicError
	case strings.HasPrefix(path, "/v1/models") && r.Header.Get("Anthropic-Version") != "":
		return anthropicError
	}
	if first, ok := strings.CutPrefix(path, "/api/"); ok && slices.Contains(ollamaPaths, first) {
		return ollamaError
	}
	return nil
}

// worded puts p into the words of the request that w answers.
func worded(w http.ResponseWriter, p *problem) any {
	for {
		switch v := w.(type) {
		case *watch:
			if v.words == nil {
				return p
			}
			return v.words(p, requestID(w))
		case interface{ Unwrap() http.ResponseWriter }:
			w = v.Unwrap()
		default:
			return p
		}
	}
}

package gateway

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"github.com/plexus-network/plexus/engine"
)

// completionRequest is the body of POST /v1/completions.
type completionRequest struct {
	settings
	bindings
	Prompt   json.RawMessage `json:"prompt"`
	Echo     bool            `json:"echo"`
	LogProbs *int            `json:"logprobs"`
}

// maxPrompts bounds the prompts of one request, and maxAnswers the answers to
// all of them: each costs what a request with one does.
const (
	maxPrompts = 8
	maxAnswers = 16
)

// completions serves POST /v1/completions.
func (g *Gateway) completions(w http.ResponseWriter, r *http.Request, body []byte) *problem {
	prompts, bad := g.readCompletions(body)
	if bad != nil {
		return bad
	}
	if bad := enter(w, r, prompts...); bad != nil { // scoring costs, too
		return bad
	}
	if bad := g.scoreAll(r.Context(), prompts); bad != nil {
		return bad
	}
	if prompts[0].ask.MaxTokens == 0 {
		return g.pure(w, r, prompts)
	}
	if prompts[0].stream {
		return g.stream(w, r, prompts[0], openAI{completionVoice{}})
	}
	return g.whole(w, r, prompts, openAI{completionVoice{}})
}

// readCompletions turns a request's bytes into its prompts, at least one.
func (g *Gateway) readCompletions(body []byte) ([]prompt, *problem) {
	var in completionRequest
	if bad := parse(body, &in); bad != nil {
		return nil, bad
	}
	pure := in.Echo && in.MaxTokens != nil && *in.MaxTokens == 0
	if pure {
		in.MaxTokens = nil
	}
	base, bad := g.prompt(in.settings)
	if bad != nil {
		return nil, bad
	}
	if !neutral(orNull(in.Tools), []string{"[]"}) {
		return nil, unsupported("tools", "tools cannot be honoured here; /v1/chat/completions calls them")
	}
	if bad := base.bind(in.bindings); bad != nil {
		return nil, bad
	}
	if in.LogProbs != nil {
		base.logprobs, base.top = true, *in.LogProbs
	}
	if bad := base.wantLogProbs("logprobs"); bad != nil {
		return nil, bad
	}
	if in.Echo && base.logprobs && base.model.Scorer == nil {
		return nil, unsupported("echo", "echo cannot be honoured with logprobs: those of the prompt are not known for %s", base.model.Name)
	}
	if pure && base.stream {
		return nil, unsupported("stream", "max_tokens is 0, which leaves nothing to stream: leave stream out")
	}
	prompts, bad := readWords("prompt", in.Prompt, maxPrompts)
	if bad != nil {
		return nil, bad
	}
	if len(prompts) > 1 && base.stream {
		return nil, unsupported("prompt", "prompt has %d texts; a stream answers one: leave stream out, or send them one by one", len(prompts))
	}
	if len(prompts)*base.n > maxAnswers {
		return nil, invalid("n", "%d prompts with n = %d want %d answers; at most %d are allowed", len(prompts), base.n, len(prompts)*base.n, maxAnswers)
	}
	out := make([]prompt, len(prompts))
	for i, words := range prompts {
		p := base
		p.ask.Prompt, p.ask.Tokens = words.text, words.tokens
		if bad := p.fit(); bad != nil {
			bad.param = "prompt"
			return nil, bad
		}
		if p.echo, bad = p.repeat(in.Echo); bad != nil {
			return nil, bad
		}
		if pure {
			p.ask.MaxTokens = 0
		}
		out[i] = p
	}
	return out, nil
}

// repeat returns the prompt's text when echo wants it.
func (p *prompt) repeat(echo bool) (string, *problem) {
	switch {
	case !echo:
		return "", nil
	case p.ask.Prompt != "":
		return p.ask.Prompt, nil
	case p.model.Tokenizer == nil:
		return "", unsupported("echo", "echo cannot turn tokens into text for %s, whose tokenizer is not known here", p.model.Name)
	}
	return p.model.Tokenizer.Decode(p.ask.Tokens), nil
}

// words are one prompt: text or tokens.
type words struct {
	text   string
	tokens []engine.Token
}

// readWords reads the field that holds words, at most most of them: a text, a list of texts, a list of token ids, or a
// list of such lists.
func readWords(field string, raw json.RawMessage, most int) ([]words, *problem) {
	raw = orNull(raw)
	if raw[0] == '"' {
		raw = append(append(json.RawMessage{'['}, raw...), ']')
	}
	var list []json.RawMessage
	if raw[0] != '[' || json.Unmarshal(raw, &list) != nil || len(list) == 0 {
		return nil, invalid(field, "%s is missing or empty; give a text, a list of token ids, or a list of either", field)
	}
	if list[0][0] >= '0' && list[0][0] <= '9' {
		list = []json.RawMessage{raw}
	}
	if len(list) > most {
		return nil, invalid(field, "%s has %d texts; at most %d are allowed", field, len(list), most)
	}
	out := make([]words, len(list))
	for i, one := range list {
		var err error
		if one[0] == '"' {
			err = json.Unmarshal(one, &out[i].text)
		} else {
			err = json.Unmarshal(one, &out[i].tokens)
		}
		if err != nil || out[i].text == "" && len(out[i].tokens) == 0 {
			return nil, invalid(indexed(field, i, ""), "%s %d is neither a text nor a list of token ids, or it is empty", field, i)
		}
		for _, t := range out[i].tokens {
			if t < 0 {
				return nil, invalid(indexed(field, i, ""), "%s %d has the token id %d; ids start at 0", field, i, t)
			}
		}
	}
	return out, nil
}

// indexed names a field of a list's element: messages[2].role.
func indexed(list string, i int, field string) string {
	s := list + "[" + strconv.Itoa(i) + "]"
	return strings.TrimSuffix(s+"."+field, ".")
}

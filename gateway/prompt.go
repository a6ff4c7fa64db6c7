package gateway

import (
	"encoding/binary"
	"encoding/json"
	"reflect"
	"strconv"
	"strings"

	"github.com/plexus-network/plexus/coin"
	"github.com/plexus-network/plexus/engine"
	"github.com/plexus-network/plexus/engine/chat"
	"github.com/plexus-network/plexus/subnet/text"
)

// A prompt is a request after its dialect is off.
type prompt struct {
	model    *Model
	ask      text.Request
	tokens   int // of the rendered prompt; 0 when it cannot be counted here
	n        int // answers wanted
	miners   int // miners to ask
	strategy Strategy

	stream   bool
	usage    bool // a usage chunk at the stream's end
	logprobs bool
	top      int           // alternatives per token
	ids      bool          // token ids with each choice
	echo     string        // what to say before the answer
	known    []promptScore // of the prompt, when echo with logprobs or prompt_logprobs wants them; see score.go
	scored   bool          // prompt_logprobs wants them, and
	topKnown int           // alternatives to each
	verdict  bool          // a stream waits for the scores
	answers  bool          // every miner's text is told

	candidates bool         // every miner's text is told, by its new name
	verified   bool         // only answers that were examined are given
	maxPrice   *coin.Amount // that 1,000 tokens beyond the quota may cost; nil means any
	minScore   float64      // standing that a miner must have
	by         string       // what best-of-k ranks by
	extract    string       // what of an answer votes
	field      string       // of the JSON that votes
	ignored    []string     // settings that miners are not told of
}

// settings are the request fields that all dialects of the OpenAI API share.
type settings struct {
	Model       string          `json:"model"`
	N           *int            `json:"n"`
	MaxTokens   *int            `json:"max_tokens"`
	Temperature *float64        `json:"temperature"`
	TopP        *float64        `json:"top_p"`
	TopK        *int            `json:"top_k"`
	MinP        *float64        `json:"min_p"`
	Seed        *int64          `json:"seed"`
	Stop        json.RawMessage `json:"stop"`
	Stream      bool            `json:"stream"`
	StreamOpts  *streamOptions  `json:"stream_options"`
	TokenIDs    bool            `json:"return_token_ids"`
	PromptLogs  json.RawMessage `json:"prompt_logprobs"`
	Plexus      *plexusOptions  `json:"plexus"`
}

type streamOptions struct {
	IncludeUsage bool `json:"include_usage"`
}

// refused are the fields that would change the answer and cannot be honoured,
// with the values that ask for nothing.
var refused = []struct {
	field   string
	neutral []string
	instead string
}{
	{"functions", []string{"[]"}, "use tools"},
	{"function_call", []string{`"none"`, `"auto"`}, "use tool_choice"},
	{"modalities", []string{"[]", `["text"]`}, "only text is made here"},
	{"audio", nil, "only text is made here"},
	{"prediction", nil, "leave it out"},
	{"web_search_options", nil, "leave it out: miners answer from the model alone"},
	{"logit_bias", []string{"{}"}, "leave it out: the verified sampler has no bias"},
	{"presence_penalty", []string{"0"}, "use 0: the verified sampler has no penalties"},
	{"frequency_penalty", []string{"0"}, "use 0: the verified sampler has no penalties"},
	{"repetition_penalty", []string{"1"}, "use 1: the verified sampler has no penalties"},
	{"suffix", []string{`""`}, "leave it out"},
	{"best_of", []string{"1"}, `use {"plexus":{"miners":k,"strategy":"best"}}`},
}

// parse reads a request's JSON into v, and refuses the fields that cannot be
// honoured. Fields that are unknown are ignored, as clients expect.
func parse(body []byte, v any) *problem {
	if err := json.Unmarshal(body, v); err != nil {
		return notJSON(err)
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(body, &fields); err != nil {
		return notJSON(err)
	}
	for _, r := range refused {
		raw, given := fields[r.field]
		if given && !neutral(raw, r.neutral) {
			return unsupported(r.field, "%s cannot be honoured; %s", r.field, r.instead)
		}
	}
	return nil
}

func notJSON(err error) *problem {
	switch e := err.(type) { //nolint:errorlint // reads the decoder's own error, which is not wrapped
	case *json.UnmarshalTypeError:
		field := strings.TrimPrefix(e.Field, "settings.") // Go's name for what is embedded
		if field == "" {
			field = "the request"
		}
		return invalid(strings.TrimPrefix(e.Field, "settings."), "%s is a JSON %s; %s is wanted", field, e.Value, wanted(e.Type))
	case *json.SyntaxError:
		return invalid("", "the request is not JSON: %v at byte %d", e, e.Offset)
	}
	return invalid("", "the request cannot be read: %v", err)
}

// wanted names a Go type as JSON does.
func wanted(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "a string"
	case reflect.Slice:
		return "an array"
	case reflect.Struct, reflect.Map:
		return "an object"
	case reflect.Int, reflect.Int64, reflect.Int32:
		return "a whole number"
	default:
		return "a number"
	}
}

// neutral tells whether raw is null or one of values, numbers by their value.
func neutral(raw json.RawMessage, values []string) bool {
	s := strings.Join(strings.Fields(string(raw)), "")
	if s == "null" {
		return true
	}
	number, err := strconv.ParseFloat(s, 64)
	for _, v := range values {
		if s == v {
			return true
		}
		if want, e := strconv.ParseFloat(v, 64); err == nil && e == nil && number == want {
			return true
		}
	}
	return false
}

// prompt turns the shared settings into a prompt without words yet.
func (g *Gateway) prompt(s settings) (prompt, *problem) {
	p := prompt{n: 1, miners: g.limits.Miners, stream: s.Stream, ids: s.TokenIDs, strategy: Best}
	if s.Model == "" {
		return p, invalid("model", "model is missing; GET /v1/models lists what is offered")
	}
	if p.model = g.model(s.Model); p.model == nil {
		return p, noModel(s.Model, g.models)
	}
	if s.Stream {
		p.strategy = First
		p.usage = s.StreamOpts != nil && s.StreamOpts.IncludeUsage
	} else if s.StreamOpts != nil {
		return p, invalid("stream_options", "stream_options needs stream to be true")
	}
	if bad := p.sample(s); bad != nil {
		return p, bad
	}
	if p.model.openEnded() {
		p.ignored = s.unsampled()
	}
	if s.N != nil {
		p.n = *s.N
	}
	if p.n < 1 || p.n > g.limits.MaxMiners {
		return p, invalid("n", "n is %d; 1 to %d is allowed", p.n, g.limits.MaxMiners)
	}
	if bad := p.wantPromptLogs(orNull(s.PromptLogs)); bad != nil {
		return p, bad
	}
	return p, p.extras(s.Plexus, g.limits)
}

// sample takes in what decides which tokens are picked and how many.
func (p *prompt) sample(s settings) *problem {
	a := &p.ask
	a.Temperature = p.model.Temperature
	for _, f := range []struct {
		name  string
		given *float64
		most  float64
		to    *float32
	}{
		{"temperature", s.Temperature, engine.MaxTemperature, &a.Temperature},
		{"top_p", s.TopP, 1, &a.TopP},
		{"min_p", s.MinP, 1, &a.MinP},
	} {
		if f.given == nil {
			continue
		}
		if *f.given < 0 || *f.given > f.most {
			return invalid(f.name, "%s is %v; 0 to %v is allowed", f.name, *f.given, f.most)
		}
		*f.to = float32(*f.given)
	}
	if s.TopP != nil && *s.TopP == 0 {
		a.TopK = 1 // no mass at all leaves the likeliest token
	}
	if s.TopK != nil {
		if *s.TopK < -1 {
			return invalid("top_k", "top_k is %d; -1 for all, or 0 and more, is allowed", *s.TopK)
		}
		a.TopK = min(max(*s.TopK, 0), engine.MaxTop)
	}
	if s.Seed != nil {
		a.UserSeed = binary.LittleEndian.AppendUint64(nil, uint64(*s.Seed))
	}
	var bad *problem
	if a.Stop, bad = stops(s.Stop); bad != nil {
		return bad
	}
	return p.limit(s.MaxTokens)
}

// limit sets the most new tokens: what the user allows, within the model's
// own bound.
func (p *prompt) limit(given *int) *problem {
	p.ask.MaxTokens = p.model.MaxTokens
	if given == nil {
		return nil
	}
	if *given < 1 {
		return invalid("max_tokens", "max_tokens is %d; 1 or more is allowed", *given)
	}
	p.ask.MaxTokens = min(*given, p.model.MaxTokens)
	return nil
}

// stops reads stop, which is a text, a list of texts or null.
func stops(raw json.RawMessage) ([]string, *problem) {
	if len(raw) == 0 || string(raw) == "null" {
		return nil, nil
	}
	var list []string
	if raw[0] == '"' {
		list = make([]string, 1)
		if err := json.Unmarshal(raw, &list[0]); err != nil {
			return nil, invalid("stop", "stop is not a text: %v", err)
		}
	} else if err := json.Unmarshal(raw, &list); err != nil {
		return nil, invalid("stop", "stop is neither a text nor a list of texts")
	}
	const most, longest = 16, 256
	if len(list) > most {
		return nil, invalid("stop", "stop has %d texts; at most %d are allowed", len(list), most)
	}
	for i, s := range list {
		if s == "" || len(s) > longest {
			return nil, invalid("stop", "stop text %d has %d bytes; 1 to %d are allowed", i, len(s), longest)
		}
	}
	return list, nil
}

// fit counts the prompt's tokens where it can and refuses what leaves the model
// no room to answer.
func (p *prompt) fit() *problem {
	if p.model.openEnded() {
		return p.fitOpen()
	}
	t, room := p.model.Tokenizer, p.model.Context
	size := len(p.ask.Prompt) + p.ask.Constraint.Size()
	for _, m := range p.ask.Messages {
		size += len(m.Content)
		for _, c := range m.ToolCalls {
			size += len(c.ID) + len(c.Name) + len(c.Arguments)
		}
	}
	if size > maxText {
		return tooLong("%d bytes and a request to a miner takes %d; shorten it", size, maxText)
	}
	switch {
	case len(p.ask.Tokens) > 0:
		p.tokens = len(p.ask.Tokens)
	case t == nil:
		return nil
	default:
		tokens, err := p.render()
		if err != nil {
			return invalid("messages", "the model's template cannot render the messages: %v", err)
		}
		p.tokens = len(tokens)
	}
	if room == 0 {
		return nil
	}
	if p.tokens >= room {
		return tooLong("%d tokens and %s takes %d, prompt and answer together; shorten it", p.tokens, p.model.Name, room)
	}
	p.ask.MaxTokens = min(p.ask.MaxTokens, room-p.tokens)
	return nil
}

// maxText bounds a prompt's text, in bytes, somewhat below what a request of
// the kind text may hold. It also bounds the work of counting tokens.
const maxText = 1000 << 10

func tooLong(format string, args ...any) *problem {
	bad := invalid("messages", "the prompt is "+format, args...)
	bad.code = "context_length_exceeded"
	return bad
}

// render returns the prompt's tokens. The model must have a tokenizer.
func (p *prompt) render() ([]engine.Token, error) { return p.model.render(p.ask) }

// render returns the tokens of what is asked. The model must have a tokenizer.
func (m *Model) render(ask text.Request) ([]engine.Token, error) {
	switch t := m.Tokenizer; {
	case len(ask.Tokens) > 0:
		return ask.Tokens, nil
	case len(ask.Messages) > 0:
		return chat.Render(t, ask.Messages, ask.Constraint.Tools)
	default:
		return t.Encode(ask.Prompt)
	}
}

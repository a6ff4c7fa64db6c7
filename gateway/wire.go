package gateway

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/json"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/plexus-network/plexus/engine"
)

// An envelope holds what surrounds the choices of an answer, or of a chunk of
// one.
type envelope struct {
	ID      string          `json:"id"`
	Object  string          `json:"object"`
	Created int64           `json:"created"` // Unix seconds
	Model   string          `json:"model"`
	Choices any             `json:"choices"`
	Usage   json.RawMessage `json:"usage,omitempty"`
	Plexus  *report         `json:"plexus,omitempty"`

	PromptLogs []map[string]knownToken `json:"prompt_logprobs,omitempty"` // of a chat
}

// A usage counts tokens.
type usage struct {
	Prompt     int `json:"prompt_tokens"`
	Completion int `json:"completion_tokens"`
	Total      int `json:"total_tokens"`
	Details    struct {
		Cached int `json:"cached_tokens"`
	} `json:"prompt_tokens_details"`
	Made struct {
		Reasoning int `json:"reasoning_tokens"` // always 0: no model here keeps thoughts apart
	} `json:"completion_tokens_details"`
}

// usageOf counts what was answered to p. What a miner says of itself is
// believed only where it cannot be counted here.
func usageOf(p *prompt, legs ...*leg) (u usage) {
	for _, l := range legs {
		u.Prompt = max(p.tokens, u.Prompt)
		if p.tokens == 0 {
			u.Prompt = max(l.usage.Prompt, u.Prompt)
		}
		u.Details.Cached = max(u.Details.Cached, l.usage.Cached)
		u.Completion += l.count(p)
	}
	u.Details.Cached = min(u.Details.Cached, u.Prompt)
	u.Total = u.Prompt + u.Completion
	return u
}

// count returns how many tokens the leg gave.
func (l *leg) count(p *prompt) int { return p.count(l.tokens, l.text.String(), l.usage.Completion) }

// count returns how many tokens an answer has. A miner that tells no tokens is
// believed only where its text cannot be counted here.
func (p *prompt) count(tokens []engine.TokenScore, text string, claimed int) int {
	if len(tokens) > 0 {
		return len(tokens)
	}
	if p.model.openEnded() {
		return min(quarters(len(text)), p.ask.MaxTokens)
	}
	if t := p.model.Tokenizer; t != nil {
		if own, err := t.Encode(text); err == nil {
			return min(len(own), p.ask.MaxTokens)
		}
	}
	return min(claimed, p.ask.MaxTokens)
}

// stopped returns which of the prompt's stop texts ended the leg's answer,
// empty when none did or when that cannot be told. The answer's text ends
// before it, its tokens with it.
func (l *leg) stopped(p *prompt) string {
	if l.finish != engine.FinishStop || len(p.ask.Stop) == 0 || p.model.Tokenizer == nil {
		return ""
	}
	rest, ok := strings.CutPrefix(p.model.Tokenizer.Decode(tokensOf(l.tokens)), l.text.String())
	if !ok {
		return ""
	}
	for _, s := range p.ask.Stop {
		if strings.HasPrefix(rest, s) {
			return s
		}
	}
	return ""
}

func (u *usage) add(v usage) {
	u.Prompt += v.Prompt
	u.Completion += v.Completion
	u.Total += v.Total
	u.Details.Cached += v.Details.Cached
}

func (u usage) raw() json.RawMessage {
	b, _ := json.Marshal(u) // numbers always encode
	return b
}

// A piece is a part of an answer, or all of one.
type piece struct {
	prompt  int // which of the request's prompts it answers
	index   int
	text    string
	tokens  []engine.TokenScore
	offset  int // characters of text before this piece
	finish  engine.Finish
	stopped string        // the stop text that ended the answer
	first   time.Duration // to the miner's first text
}

// A voice is how a dialect words an answer.
type voice interface {
	// prefix begins the answer's id, object names what it is.
	prefix() string
	object(stream bool) string
	// whole words a complete choice, chunk one of a stream. opening tells that
	// nothing was said before it.
	whole(p *prompt, a piece) any
	chunk(p *prompt, a piece, opening bool) any
}

// chatVoice is /v1/chat/completions. A stream has a reader for each choice.
type chatVoice struct{ calls []callReader }

type chatChoice struct {
	Index    int           `json:"index"`
	Message  *chatWhole    `json:"message,omitempty"`
	Delta    *chatText     `json:"delta,omitempty"`
	LogProbs *chatLogProbs `json:"logprobs"`
	Finish   *string       `json:"finish_reason"`
	TokenIDs []int         `json:"token_ids,omitempty"`
}

// chatWhole is a complete message; its content is null where it only calls.
type chatWhole struct {
	Role      string     `json:"role"`
	Content   *string    `json:"content"`
	Refusal   refusal    `json:"refusal"`
	ToolCalls []wireCall `json:"tool_calls,omitempty"`
}

// chatText is a piece of a message.
type chatText struct {
	Role      string     `json:"role,omitempty"`
	Content   *string    `json:"content,omitempty"`
	ToolCalls []wireCall `json:"tool_calls,omitempty"`
}

// refusal is null where the API wants the field.
type refusal bool

// MarshalJSON writes null: nothing is ever refused in words of its own.
func (refusal) MarshalJSON() ([]byte, error) { return []byte("null"), nil }

type chatLogProbs struct {
	Content []chatLogProb `json:"content"`
	Refusal refusal       `json:"refusal"`
}

type chatLogProb struct {
	tokenLogProb
	Top []tokenLogProb `json:"top_logprobs"`
}

type tokenLogProb struct {
	Token   string  `json:"token"`
	LogProb float32 `json:"logprob"`
	Bytes   []int   `json:"bytes"`
}

func (chatVoice) prefix() string { return "chatcmpl-" }

func (chatVoice) object(stream bool) string {
	if stream {
		return "chat.completion.chunk"
	}
	return "chat.completion"
}

func (chatVoice) whole(p *prompt, a piece) any {
	c := chatChoiceOf(p, a)
	c.Message = p.message(a.text)
	c.Finish = finishOf(a.finish, len(c.Message.ToolCalls))
	return c
}

func (v chatVoice) chunk(p *prompt, a piece, opening bool) any {
	c := chatChoiceOf(p, a)
	c.Delta = p.delta(&v.calls[a.index], a)
	c.Finish = finishOf(a.finish, v.calls[a.index].calls)
	if opening {
		c.Delta.Role = "assistant"
	}
	if opening && c.Delta.Content == nil && len(c.Delta.ToolCalls) == 0 {
		c.Delta.Content = new(string)
	}
	return c
}

func chatChoiceOf(p *prompt, a piece) chatChoice {
	c := chatChoice{Index: a.index, Finish: optional(string(a.finish)), TokenIDs: p.idsOf(a)}
	if !p.logprobs {
		return c
	}
	c.LogProbs = &chatLogProbs{Content: make([]chatLogProb, len(a.tokens))}
	for i, t := range a.tokens {
		one := chatLogProb{p.logProb(t.Token, t.LogProb), make([]tokenLogProb, 0, p.top)}
		for _, alt := range t.Top[:min(len(t.Top), p.top)] {
			one.Top = append(one.Top, p.logProb(alt.Token, alt.LogProb))
		}
		c.LogProbs.Content[i] = one
	}
	return c
}

func (p *prompt) logProb(t engine.Token, logprob float32) tokenLogProb {
	s := p.model.Tokenizer.Decode([]engine.Token{t})
	b := make([]int, len(s))
	for i := range len(s) {
		b[i] = int(s[i])
	}
	return tokenLogProb{strings.ToValidUTF8(s, "\uFFFD"), logprob, b}
}

// idsOf returns a piece's token ids when the user wants them.
func (p *prompt) idsOf(a piece) []int {
	if !p.ids {
		return nil
	}
	ids := make([]int, len(a.tokens))
	for i, t := range a.tokens {
		ids[i] = int(t.Token)
	}
	return ids
}

// completionVoice is /v1/completions.
type completionVoice struct{}

type completionChoice struct {
	Index    int                 `json:"index"`
	Text     string              `json:"text"`
	LogProbs *completionLogProbs `json:"logprobs"`
	Finish   *string             `json:"finish_reason"`
	TokenIDs []int               `json:"token_ids,omitempty"`

	PromptLogs []map[string]knownToken `json:"prompt_logprobs,omitempty"`
}

type completionLogProbs struct {
	Tokens   []string             `json:"tokens"`
	LogProbs []*float32           `json:"token_logprobs"` // null for a prompt's first token
	Top      []map[string]float32 `json:"top_logprobs"`
	Offsets  []int                `json:"text_offset"` // in characters of the answer's text
}

func (completionVoice) prefix() string     { return "cmpl-" }
func (completionVoice) object(bool) string { return "text_completion" }

func (v completionVoice) whole(p *prompt, a piece) any { return v.chunk(p, a, true) }

func (completionVoice) chunk(p *prompt, a piece, opening bool) any {
	c := completionChoice{Index: a.index, Text: a.text, Finish: optional(string(a.finish)), TokenIDs: p.idsOf(a), PromptLogs: p.promptLogs()}
	if !p.logprobs {
		return c
	}
	c.LogProbs = &completionLogProbs{}
	at := a.offset
	if opening && p.echo != "" {
		for _, t := range p.known {
			at = c.LogProbs.add(p, t.TokenScore, t.first, at)
		}
	}
	for _, t := range a.tokens {
		at = c.LogProbs.add(p, t, false, at)
	}
	return c
}

// add takes in a token at a place in the text, and returns the next one's.
func (l *completionLogProbs) add(p *prompt, t engine.TokenScore, first bool, at int) int {
	own := p.logProb(t.Token, t.LogProb).Token
	l.Tokens, l.Offsets = append(l.Tokens, own), append(l.Offsets, at)
	if first {
		l.LogProbs, l.Top = append(l.LogProbs, nil), append(l.Top, nil)
		return at + utf8.RuneCountInString(own)
	}
	top := make(map[string]float32, p.top)
	for _, alt := range t.Top[:min(len(t.Top), p.top)] {
		top[p.logProb(alt.Token, 0).Token] = alt.LogProb
	}
	l.LogProbs, l.Top = append(l.LogProbs, &t.LogProb), append(l.Top, top)
	return at + utf8.RuneCountInString(own)
}

// newID returns 128 random bits as letters and digits.
func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(b[:]))
}

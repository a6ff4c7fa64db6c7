// Package chat puts a conversation through a model's chat template and into
// tokens.
//
// A template and the messages both come from strangers. The template may name
// control tokens, such as the one that ends a turn; a message may not: its text
// stays text whatever it spells. Start at [New] and [Template.Tokens].
package chat

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/plexus-network/plexus/engine"
	"github.com/plexus-network/plexus/engine/jinja"
)

// ChatML is the template for files that have none but know its control tokens.
const ChatML = "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}{% endfor %}" +
	"{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"

// maxText bounds the text of a conversation, in bytes: far more than the
// context of any model holds, and little enough to render.
const maxText = 4 << 20

// guard is put into a message where it would spell a control token, and taken
// out again after rendering. It is a code point that no text has.
const (
	guard       = "\uFDD0"
	replacement = "\uFFFD"
)

// A Vocabulary is what a template needs to know of a model's tokens.
type Vocabulary interface {
	// Controls returns the texts of control tokens with their tokens.
	Controls() map[string]engine.Token
	// Begin is the token that goes before every text, or −1.
	Begin() engine.Token
	// Encode returns the tokens of a text and makes no control tokens.
	Encode(text string) ([]engine.Token, error)
}

// A Template turns conversations into tokens. It does not change and may be
// used from many goroutines.
type Template struct {
	program  *jinja.Template
	hash     string
	vocab    Vocabulary
	controls map[string]engine.Token
	texts    []string // of the control tokens, longest first
	begin    string   // text of the token that goes before every text
	first    [256]bool
	tools    bool // the template has a form for tools
}

// New reads a model's chat template. An empty source means ChatML where the
// vocabulary has its tokens; otherwise every rendering is ErrUnsupported. The
// error wraps engine.ErrBadModel.
func New(source string, v Vocabulary) (*Template, error) {
	sum := sha256.Sum256([]byte(source))
	t := &Template{hash: hex.EncodeToString(sum[:]), vocab: v, controls: v.Controls()}
	for text, token := range t.controls {
		if text == "" {
			continue
		}
		t.texts = append(t.texts, text)
		t.first[text[0]] = true
		if token == v.Begin() {
			t.begin = text
		}
	}
	slices.SortFunc(t.texts, func(a, b string) int {
		if len(a) != len(b) {
			return len(b) - len(a)
		}
		return strings.Compare(a, b)
	})
	if source == "" {
		if _, ok := t.controls["<|im_start|>"]; !ok {
			return t, nil
		}
		source = ChatML
	}
	t.tools = knowsTools(source)
	var err error
	if t.program, err = jinja.Parse(source); err != nil {
		return nil, fmt.Errorf("%w: chat template: %w", engine.ErrBadModel, err)
	}
	return t, nil
}

// Hash is the sha256 of the template's source, in hex.
func (t *Template) Hash() string { return t.hash }

// Tokens renders a conversation, ready for the assistant's turn. Its errors
// wrap engine.ErrRequest, engine.ErrTooLong or engine.ErrUnsupported.
func (t *Template) Tokens(messages []engine.Message) ([]engine.Token, error) {
	return t.TokensWithTools(messages, nil)
}

// begun encodes a rendered text, with the token that goes before every text.
func (t *Template) begun(text string) ([]engine.Token, error) {
	tokens, err := t.tokens(text)
	if err != nil {
		return nil, err
	}
	if b := t.vocab.Begin(); b >= 0 && (len(tokens) == 0 || tokens[0] != b) {
		tokens = slices.Insert(tokens, 0, b)
	}
	return tokens, nil
}

// render returns the conversation's text with guards in it.
func (t *Template) render(messages []engine.Message, tools []engine.Tool) (string, error) {
	if t.program == nil {
		return "", fmt.Errorf("%w: the model has no chat template; send a prompt without messages", engine.ErrUnsupported)
	}
	if len(messages) == 0 {
		return "", fmt.Errorf("%w: a conversation without messages", engine.ErrRequest)
	}
	size := 0
	list := make([]any, len(messages))
	for i, m := range messages {
		switch m.Role {
		case engine.System, engine.User, engine.Assistant, engine.ToolResult:
		default:
			return "", fmt.Errorf("%w: message %d has the role %.40q, want system, user, assistant or tool", engine.ErrRequest, i, m.Role)
		}
		if size += sizeOf(m); size > maxText {
			return "", fmt.Errorf("%w: the conversation has over %d bytes", engine.ErrTooLong, maxText)
		}
		list[i] = t.message(m)
	}
	toolList, err := t.toolValues(tools)
	if err != nil {
		return "", err
	}
	text, err := t.program.Render(map[string]any{
		"messages":              list,
		"add_generation_prompt": true,
		"bos_token":             t.begin,
		"eos_token":             "",
		"tools":                 toolList,
	}, jinja.Budget{Bytes: 16*size + 1<<20})
	switch {
	case errors.Is(err, jinja.ErrRaised):
		return "", fmt.Errorf("%w: %w", engine.ErrRequest, err)
	case err != nil:
		return "", fmt.Errorf("%w: chat template: %w", engine.ErrBadModel, err)
	}
	return text, nil
}

// guarded returns a message's text with a guard in every spelling of a control
// token, and in the start of one at the end, which the template might finish.
func (t *Template) guarded(s string) string {
	s = strings.ToValidUTF8(strings.ReplaceAll(s, guard, replacement), replacement)
	trimmed := strings.TrimRight(s, " \t\r\n")
	var b strings.Builder
	kept := 0
	for i := range len(s) {
		if t.first[s[i]] && t.spells(s[i:], trimmed[min(i, len(trimmed)):]) {
			n := i + 1
			for n < len(s) && s[n]&0xC0 == 0x80 {
				n++ // to the end of the character
			}
			b.WriteString(s[kept:n] + guard)
			kept = n
		}
	}
	if kept == 0 {
		return s
	}
	b.WriteString(s[kept:])
	return b.String()
}

// spells tells whether s begins with a control token, or its end with the
// start of one.
func (t *Template) spells(s, end string) bool {
	for _, c := range t.texts {
		if strings.HasPrefix(s, c) || end != "" && strings.HasPrefix(c, end) {
			return true
		}
	}
	return false
}

// tokens cuts a rendered text at its control tokens and encodes what lies between.
func (t *Template) tokens(text string) ([]engine.Token, error) {
	var out []engine.Token
	from := 0
	plain := func(to int) error {
		if from == to {
			return nil
		}
		tokens, err := t.vocab.Encode(strings.ReplaceAll(text[from:to], guard, ""))
		out = append(out, tokens...)
		return err
	}
	for i := 0; i < len(text); {
		c := t.controlAt(text[i:])
		if c == "" {
			i++
			continue
		}
		if err := plain(i); err != nil {
			return nil, err
		}
		out = append(out, t.controls[c])
		i += len(c)
		from = i
	}
	return out, plain(len(text))
}

// controlAt returns the longest control token that s begins with, or "".
func (t *Template) controlAt(s string) string {
	if !t.first[s[0]] {
		return ""
	}
	for _, c := range t.texts {
		if strings.HasPrefix(s, c) {
			return c
		}
	}
	return ""
}

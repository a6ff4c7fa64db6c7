package chat_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/plexus-network/plexus/engine"
	"github.com/plexus-network/plexus/engine/chat"
	"pgregory.net/rapid"
)

// letters is a vocabulary of bytes with control tokens from 1000 on.
type letters map[string]engine.Token

func (l letters) Controls() map[string]engine.Token { return l }
func (l letters) Begin() engine.Token {
	if t, ok := l["<s>"]; ok {
		return t
	}
	return -1
}

func (l letters) Encode(text string) ([]engine.Token, error) {
	var out []engine.Token
	for i := range len(text) {
		out = append(out, engine.Token(text[i]))
	}
	return out, nil
}

// read writes tokens as text, with control tokens in brackets.
func (l letters) read(tokens []engine.Token) string {
	var b strings.Builder
	for _, t := range tokens {
		if t < 256 {
			b.WriteByte(byte(t))
			continue
		}
		for text, c := range l {
			if c == t {
				b.WriteString("[" + text + "]")
			}
		}
	}
	return b.String()
}

var chatML = letters{"<|im_start|>": 1000, "<|im_end|>": 1001, "</s>": 1002}

func user(s string) []engine.Message { return []engine.Message{{Role: engine.User, Content: s}} }

func TestTokens(t *testing.T) {
	withBegin := letters{"<s>": 1000, "[INST]": 1001}
	for _, c := range []struct {
		name, source string
		vocab        letters
		messages     []engine.Message
		want         string
	}{
		{"chatml by default", "", chatML, user("hi"), "[<|im_start|>]user\nhi[<|im_end|>]\n[<|im_start|>]assistant\n"},
		{"control text in a message", "", chatML, user("a<|im_end|>b"), "[<|im_start|>]user\na<|im_end|>b[<|im_end|>]\n[<|im_start|>]assistant\n"},
		{"a begin is added", "{{ messages[0].content }}", withBegin, user("hi"), "[<s>]hi"},
		{"a begin is not doubled", "{{ bos_token }}{{ messages[0].content }}", withBegin, user("<s>hi"), "[<s>]<s>hi"},
		{"trimmed by the template", "[INST]{{ messages[0].content | trim }}", withBegin, user(" [INST] "), "[<s>][[INST]][INST]"},
		{
			"the start of a control token at the end", "{{ messages[0].content }}{{ messages[1].content }}", chatML,
			append(user("<|im_"), engine.Message{Role: engine.Assistant, Content: "end|>"}), "<|im_end|>",
		},
		{"split by the template", "{{ messages[0].content.split('</think>')[-1] }}", chatML, user("x</think>y"), "y"},
	} {
		t.Run(c.name, func(t *testing.T) {
			tmpl, err := chat.New(c.source, c.vocab)
			if err != nil {
				t.Fatal(err)
			}
			tokens, err := tmpl.Tokens(c.messages)
			if err != nil {
				t.Fatal(err)
			}
			if got := c.vocab.read(tokens); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// TestMessagesMakeNoControlTokens tries pieces of control tokens in every order.
func TestMessagesMakeNoControlTokens(t *testing.T) {
	tmpl, err := chat.New("", chatML)
	if err != nil {
		t.Fatal(err)
	}
	part := rapid.SampledFrom([]string{"<|im_start|>", "<|im_end|>", "<|im_", "end|>", "<", "|", ">", "</s>", "</", "s>", "\uFDD0", " ", "\n", "x", "é", "\xff"})
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOf(part).Draw(t, "parts"), "")
		tokens, err := tmpl.Tokens([]engine.Message{{Role: engine.User, Content: text}, {Role: engine.Assistant, Content: text}})
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, x := range tokens {
			if x >= 256 {
				n++
			}
		}
		if n != 5 {
			t.Fatalf("%q makes %d control tokens, want 5", text, n)
		}
		want := strings.ToValidUTF8(strings.ReplaceAll(text, "\uFDD0", "\uFFFD"), "\uFFFD")
		if got := chatML.read(tokens); strings.Count(got, want) < 2 {
			t.Fatalf("%q is changed: %q", text, got)
		}
	})
}

func TestRefuses(t *testing.T) {
	parse := func(source string, v letters) *chat.Template {
		tmpl, err := chat.New(source, v)
		if err != nil {
			t.Fatal(err)
		}
		return tmpl
	}
	for _, c := range []struct {
		name     string
		template *chat.Template
		messages []engine.Message
		want     error
	}{
		{"no messages", parse("", chatML), nil, engine.ErrRequest},
		{"a role", parse("", chatML), []engine.Message{{Role: "ghost", Content: "x"}}, engine.ErrRequest},
		{"no template", parse("", letters{}), user("x"), engine.ErrUnsupported},
		{"the template's own refusal", parse("{{ raise_exception('alternate') }}", chatML), user("x"), engine.ErrRequest},
		{"an endless template", parse("{% for i in range(99999999) %}{% endfor %}", chatML), user("x"), engine.ErrBadModel},
		{"too much", parse("", chatML), user(strings.Repeat("x", 5<<20)), engine.ErrTooLong},
	} {
		if _, err := c.template.Tokens(c.messages); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
	if _, err := chat.New("{% if %}", chatML); !errors.Is(err, engine.ErrBadModel) {
		t.Errorf("a broken template: got %v", err)
	}
	if a, b := parse("", chatML).Hash(), parse("x", chatML).Hash(); a == b || len(a) != 64 {
		t.Errorf("hashes %s and %s", a, b)
	}
}

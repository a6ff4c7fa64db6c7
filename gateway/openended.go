package gateway

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/plexus-network/plexus/engine"
	"github.com/plexus-network/plexus/gateway/receipt"
	"github.com/plexus-network/plexus/subnet"
	openkind "github.com/plexus-network/plexus/subnet/open"
	"github.com/plexus-network/plexus/subnet/text"
	"github.com/plexus-network/plexus/yuma"
)

// A subnet of the kind open declares no model: its miners run what they like,
// and those whose answers are better stand higher. The gateway asks them as it
// asks all miners, so the best answer most. What it cannot promise there it
// refuses (logprobs, schemas, tools, verified_only) or names in the report
// (sampling, which is the miner's affair), and receipts say that no model is
// declared. Without a tokenizer a token counts as four bytes begun.

const (
	bytesPerToken = 4
	maxOpenPrompt = 200 << 10 // bytes; somewhat below what a request of the kind holds
)

// openEnded tells whether the model is a subnet without a declared one.
func (m *Model) openEnded() bool { return m.Kind == receipt.Open }

// quarters counts the tokens of n bytes of text where no tokenizer is declared.
func quarters(n int) int { return (n + bytesPerToken - 1) / bytesPerToken }

// openNet asks miners of the kind open in the words of the kind text.
type openNet struct{ Backend }

// Ask puts a text request to a miner as one prompt, and passes on what it says
// as chunks of text. What follows a stop text is heard, for the check wants the
// whole answer, and passed on to nobody.
func (n openNet) Ask(ctx context.Context, uid yuma.UID, body []byte, timeout time.Duration, onChunk func([]byte) error) (subnet.Trial, error) {
	r, err := text.DecodeRequest(body)
	if err != nil {
		return subnet.Trial{}, err
	}
	ask := openkind.Request{Prompt: plainly(r), MaxBytes: bytesPerToken * r.MaxTokens}
	_, _ = rand.Read(ask.Salt[:]) // never fails
	raw, err := ask.Encode()
	if err != nil {
		return subnet.Trial{}, err
	}
	s := speech{stops: r.Stop, most: ask.MaxBytes, emit: onChunk}
	trial, err := n.Backend.Ask(ctx, uid, raw, timeout, s.hear)
	if err == nil && trial.Answer.Err == nil {
		err = s.end()
	}
	return trial, err
}

// speech turns an answer of the kind open into one of the kind text.
type speech struct {
	stops []string
	most  int // bytes
	emit  func([]byte) error

	said    strings.Builder
	out     int // bytes that were passed on
	stopped bool
}

// hear takes in a piece of the answer.
func (s *speech) hear(raw []byte) error {
	chunks, err := openkind.DecodeChunks(raw)
	if err != nil {
		return fmt.Errorf("its answer cannot be read: %w", err)
	}
	for _, c := range chunks {
		s.said.WriteString(c.Text)
	}
	if s.said.Len() > s.most {
		return errTooMuch
	}
	if s.stopped {
		return nil
	}
	said := s.said.String()
	upto := len(said) - s.held(said)
	if i := stopAt(said[s.out:], s.stops); i >= 0 {
		upto, s.stopped = s.out+i, true
	}
	return s.pass(said[:upto], "")
}

// held is how many bytes at the end may be the beginning of a stop text.
func (s *speech) held(said string) int {
	most := 0
	for _, stop := range s.stops {
		for n := min(len(stop)-1, len(said)-s.out); n > most; n-- {
			if strings.HasSuffix(said, stop[:n]) {
				most = n
			}
		}
	}
	return most
}

// pass says what of said was not yet.
func (s *speech) pass(said string, finish engine.Finish) error {
	c := text.Chunk{Text: said[s.out:], Finish: finish}
	s.out = len(said)
	if c.Text == "" && finish == "" {
		return nil
	}
	b, err := c.Encode()
	if err != nil {
		return err
	}
	return s.emit(b)
}

// end says what was held back, and that this is all.
func (s *speech) end() error {
	said := s.said.String()
	if s.stopped {
		said = said[:s.out]
	}
	return s.pass(said, engine.FinishStop)
}

// plainly writes a request as one prompt: a lone message or a text as it is, a
// conversation with who says what.
func plainly(r text.Request) string {
	if len(r.Messages) == 0 {
		return r.Prompt
	}
	if len(r.Messages) == 1 {
		return r.Messages[0].Content
	}
	names := map[engine.Role]string{engine.System: "System", engine.User: "User", engine.Assistant: "Assistant"}
	var b strings.Builder
	for _, m := range r.Messages {
		fmt.Fprintf(&b, "%s: %s\n\n", names[m.Role], m.Content)
	}
	return b.String() + "Assistant:"
}

// unsampled names the settings that miners of the kind open are not told of.
func (s settings) unsampled() (names []string) {
	for _, f := range []struct {
		name  string
		given bool
	}{
		{"temperature", s.Temperature != nil},
		{"top_p", s.TopP != nil},
		{"top_k", s.TopK != nil},
		{"min_p", s.MinP != nil},
		{"seed", s.Seed != nil},
	} {
		if f.given {
			names = append(names, f.name)
		}
	}
	return names
}

// fitOpen is fit where no model is declared: it refuses what no miner there can
// be held to.
func (p *prompt) fitOpen() *problem {
	const why = "%s cannot be honoured: %s declares no model, so nobody could check it"
	a := &p.ask
	for _, f := range []struct {
		name string
		used bool
	}{
		{"tools", len(a.Constraint.Tools) > 0},
		{"response_format", !a.Constraint.IsZero()},
		{"prompt", len(a.Tokens) > 0},
		{"return_token_ids", p.ids},
		{"messages", slices.ContainsFunc(a.Messages, func(m engine.Message) bool { return m.Role == engine.ToolResult || len(m.ToolCalls) > 0 })},
		{"plexus.verified_only", p.verified},
	} {
		if f.used {
			return unsupported(f.name, why, f.name, p.model.Name)
		}
	}
	size := len(plainly(*a))
	if size > maxOpenPrompt {
		return tooLong("%d bytes and a request to a miner of %s takes %d; shorten it", size, p.model.Name, maxOpenPrompt)
	}
	p.tokens = quarters(size)
	return nil
}

package open

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"

	"github.com/plexus-network/plexus/engine"
	"github.com/plexus-network/plexus/subnet"
)

// class is validators and pupils that share an answer book, in which pupils
// of skill look things up.
type class struct {
	mu   sync.Mutex
	book map[string]string
}

// validator is a Mechanism that writes the answers to its questions into the
// book.
type validator struct {
	*Mechanism
	class *class
}

func (c *class) validator(m Manifest, judge engine.Checker) validator {
	return validator{New(&pupil{skill: 1, class: c}, m, Options{Judge: judge}), c}
}

func (v validator) Challenge(ctx context.Context) ([]byte, error) {
	body, err := v.Mechanism.Challenge(ctx)
	if err != nil {
		return nil, err
	}
	r, err := DecodeRequest(body)
	if err != nil {
		return nil, err
	}
	_, task, _ := v.question(r.Salt)
	v.class.mu.Lock()
	defer v.class.mu.Unlock()
	v.class.book[r.Prompt] = task.Answer
	return body, nil
}

// pupil is an engine that answers right with the probability skill, and writes
// longer on open questions the more skilled it is.
type pupil struct {
	name  string
	skill float64
	class *class
	says  string // whatever it is asked; empty lets it think
}

func (p *pupil) Chat(ctx context.Context, r engine.ChatRequest, emit func(engine.Delta) error) (engine.Usage, error) {
	if err := ctx.Err(); err != nil {
		return engine.Usage{}, err
	}
	text := p.says
	if text == "" {
		text = p.think(r.Messages[0].Content)
	}
	for part := range strings.SplitAfterSeq(text, " ") {
		if err := emit(engine.Delta{Text: part}); err != nil {
			return engine.Usage{}, err
		}
	}
	return engine.Usage{Finish: engine.FinishStop}, nil
}

func (p *pupil) think(prompt string) string {
	p.class.mu.Lock()
	answer := p.class.book[prompt]
	p.class.mu.Unlock()
	h := sha256.Sum256(fmt.Append(nil, p.name, prompt))
	luck := float64(binary.BigEndian.Uint64(h[:8])>>11) / (1 << 53)
	switch {
	case answer == "":
		return fmt.Sprintf("%s thinks %s", p.name, strings.Repeat("good ", 1+int(20*p.skill+4*luck)))
	case luck < p.skill:
		return "Answer: " + answer
	default:
		return "I do not know that, 1234321"
	}
}

func (*pupil) Model() engine.Model { return engine.Model{Name: "pupil"} }

func (*pupil) Score(context.Context, []engine.Token, []engine.Token) ([]engine.TokenScore, error) {
	return nil, engine.ErrUnsupported
}

func (*pupil) Embed(context.Context, []string) ([][]float32, error) {
	return nil, engine.ErrUnsupported
}
func (*pupil) Close() error { return nil }

// critic is a judge that likes the word good, and whatever stands first.
type critic struct {
	pupil
	fail error
}

func (c *critic) Render(m []engine.Message) ([]engine.Token, error) { return c.Encode(m[0].Content) }

func (*critic) Encode(text string) ([]engine.Token, error) {
	tokens := make([]engine.Token, len(text))
	for i := range tokens {
		tokens[i] = engine.Token(text[i])
	}
	return tokens, nil
}

func (*critic) Decode(tokens []engine.Token) string {
	b := make([]byte, len(tokens))
	for i, t := range tokens {
		b[i] = byte(t)
	}
	return string(b)
}

func (*critic) Ends(engine.Token) bool { return false }

func (c *critic) Score(_ context.Context, prompt, said []engine.Token) ([]engine.TokenScore, error) {
	if c.fail != nil {
		return nil, c.fail
	}
	text := c.Decode(prompt)
	b := strings.LastIndex(text, "B: ")
	a := strings.LastIndex(text[:b], "A: ")
	good := float64(strings.Count(text[a:b], "good")-strings.Count(text[b:], "good"))/4 + 1.5 // likes A
	if c.Decode(said) == "B" {
		good = -good
	}
	return []engine.TokenScore{{LogProb: float32(-math.Log1p(math.Exp(-good)))}}, nil
}

// work is a trial in which worker answers a challenge of v's as uid.
func work(t *testing.T, v subnet.Mechanism, worker subnet.Mechanism, uid int) subnet.Trial {
	t.Helper()
	body, err := v.Challenge(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return answered(t, body, worker, uid)
}

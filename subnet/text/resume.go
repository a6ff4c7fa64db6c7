package text

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/plexus-network/plexus/engine"
	"github.com/plexus-network/plexus/subnet"
)

// An answer that broke off goes on at another miner, which is given the tokens
// made so far ([Request.Made]). Each of the two is bound to its own seed and
// shows its own tokens: the sampler's position is the token's index in the
// whole sequence, so the second is checked like any other answer to a prompt
// of tokens, but for its text, which begins where the first one's ended. The
// first has no end and no count of its own; what it did say is checked, and
// counts as delivered, though a miner that breaks off earns nothing for being
// there.

// A resumer is an engine that goes on with an answer of which made were the
// tokens so far. All engines on a model file do.
type resumer interface {
	Resume(ctx context.Context, r engine.ChatRequest, made []engine.Token, emit func(engine.Delta) error) (engine.Usage, error)
}

// resume has the engine answer q, of whose tokens the last made are the answer
// so far. The usage counts those to the prompt.
func (m *Mechanism) resume(ctx context.Context, q engine.ChatRequest, made int, emit func(engine.Delta) error) (engine.Usage, error) {
	if made == 0 {
		return m.engine.Chat(ctx, q, emit)
	}
	prompt, before := q.Tokens[:len(q.Tokens)-made], q.Tokens[len(q.Tokens)-made:]
	e, ok := m.engine.(resumer)
	if !ok {
		if decoded := m.engine.Decode(before); shown(decoded, q.Stop) != decoded {
			return engine.Usage{}, fmt.Errorf("%w: this engine cannot go on inside a character or a stop text", subnet.ErrBadTask)
		}
		return m.engine.Chat(ctx, q, emit)
	}
	q.Tokens, q.MaxTokens, q.Made = prompt, q.MaxTokens+made, 0
	usage, err := e.Resume(ctx, q, before, emit)
	usage.Prompt, usage.Completion = usage.Prompt+made, usage.Completion-made
	if err == nil && usage.Completion == 0 {
		return usage, fmt.Errorf("%w: the answer had ended already", subnet.ErrBadTask)
	}
	return usage, err
}

// shown is how much of decoded, which is what the tokens of an unfinished
// answer say, its reader has: all but an unfinished character and what may be
// the beginning of a stop text.
func shown(decoded string, stops []string) string {
	decoded = strings.TrimRight(decoded, string(utf8.RuneError))
	held := 0
	for _, s := range stops {
		for n := min(len(s)-1, len(decoded)); n > held; n-- {
			if strings.HasSuffix(decoded, s[:n]) {
				held = n
			}
		}
	}
	return decoded[:len(decoded)-held]
}

// decode returns what a reply's tokens add to the text that was shown before
// them.
func (f form) decode(r reply) string {
	if len(f.made) == 0 {
		return f.engine.Decode(r.ids())
	}
	before := shown(f.engine.Decode(f.made), f.stop)
	all := f.engine.Decode(slices.Concat(f.made, r.ids()))
	return all[min(len(before), len(all)):]
}

// torn says in words what no honest miner's reply has that broke off, or "".
func (f form) torn(r reply) string {
	if r.finish != "" {
		return f.broken(r)
	}
	if len(r.tokens) > f.limit {
		return fmt.Sprintf("%d tokens, at most %d were asked for", len(r.tokens), f.limit)
	}
	if why := f.misshapen(r); why != "" {
		return why
	}
	if marks := marksOf(f.seed, r.ids()); len(r.marks) > len(marks) || !slices.Equal(marks[:len(r.marks)], r.marks) {
		return "the rolling hash is not that of the tokens"
	}
	if !strings.HasPrefix(plain(f.decode(r)), plain(r.text)) {
		return "the text is not what the tokens say"
	}
	return ""
}

// openTorn reads a trial whose answer broke off. There is no exam where
// nothing came that could be examined.
func (m *Mechanism) openTorn(t subnet.Trial) (*exam, verdict) {
	v := verdict{failed: "no answer: " + t.Answer.Err.Error()}
	request, prompt, err := m.read(t.Task)
	if err != nil {
		return nil, v
	}
	r, err := newReply(t.Answer.Body)
	if err != nil || len(r.tokens) == 0 {
		return nil, v
	}
	sampling := m.sampling(t.Task, request)
	f, err := m.form(request, prompt, sampling)
	if err != nil {
		return nil, v
	}
	if why := f.torn(r); why != "" {
		return nil, broken(why)
	}
	v.failed, v.torn, v.tokens = fmt.Sprintf("it broke off after %d tokens: %v", len(r.tokens), t.Answer.Err), true, len(r.tokens)
	return &exam{form: f, reply: r, sampling: sampling}, v
}

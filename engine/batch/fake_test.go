package batch_test

import (
	"errors"
	"math"
	"testing"

	"github.com/plexus-network/plexus/engine"
	"github.com/plexus-network/plexus/engine/batch"
	"github.com/plexus-network/plexus/engine/chat"
)

// A model of 256 bytes and one end of turn. It says the byte that follows the
// last one, and ends after 'z'; the position matters not. It checks that every
// row is where it belongs.
type fake struct {
	t     *testing.T
	slots [][]engine.Token
	rows  []batch.Row
	steps []int // rows of each step

	gate   chan struct{} // a step waits for one value, where it is not nil
	broken error         // of the next step
	nan    bool
	copies int
	closed bool
}

const (
	end        engine.Token = 256
	vocabulary int          = 257
)

func (f *fake) Decode(rows []batch.Row) error {
	if f.gate != nil {
		<-f.gate
	}
	if err := f.broken; err != nil {
		f.broken = nil
		return err
	}
	for _, r := range rows {
		if r.Position != len(f.slots[r.Slot]) {
			f.t.Errorf("row of position %d in slot %d, which has %d", r.Position, r.Slot, len(f.slots[r.Slot]))
		}
		f.slots[r.Slot] = append(f.slots[r.Slot], r.Token)
	}
	f.rows = rows
	f.steps = append(f.steps, len(rows))
	return nil
}

func (f *fake) Logits(i int) engine.Logits {
	if !f.rows[i].Logits {
		f.t.Errorf("logits of row %d, which did not ask", i)
	}
	l := make(engine.Logits, vocabulary)
	next := f.rows[i].Token + 1
	if next > 'z' {
		next = end
	}
	l[next] = 10
	if f.nan {
		l[0] = float32(math.NaN())
	}
	return l
}

func (f *fake) Trim(slot, n int) int {
	if n > len(f.slots[slot]) {
		f.t.Errorf("slot %d of %d rows is trimmed to %d", slot, len(f.slots[slot]), n)
	}
	f.slots[slot] = f.slots[slot][:n]
	return n
}

func (f *fake) Copy(from, to int) {
	f.copies++
	f.slots[to] = append([]engine.Token(nil), f.slots[from]...)
}

func (f *fake) Embed(tokens []engine.Token) ([]float32, error) {
	return []float32{float32(tokens[0]), 3}, nil
}

func (f *fake) Close() { f.closed = true }

// bytes is the fake's vocabulary.
type bytes struct{}

func (bytes) Controls() map[string]engine.Token { return map[string]engine.Token{"<end>": end} }
func (bytes) Begin() engine.Token               { return -1 }
func (bytes) Ends(t engine.Token) bool          { return t == end }
func (bytes) Size() int                         { return vocabulary }
func (bytes) Encode(s string) (out []engine.Token, err error) {
	for i := range len(s) {
		out = append(out, engine.Token(s[i]))
	}
	return out, nil
}

func (bytes) Piece(t engine.Token) string {
	if t < 0 || t >= 256 {
		return ""
	}
	return string([]byte{byte(t)})
}

var errStep = errors.New("the step failed")

// newEngine starts an engine on a fake with a context of 200 tokens.
func newEngine(t *testing.T, f *fake, o batch.Options) *batch.Engine {
	t.Helper()
	template, err := chat.New("{% for m in messages %}{{ m.content }}{% endfor %}", bytes{})
	if err != nil {
		t.Fatal(err)
	}
	f.t = t
	f.slots = make([][]engine.Token, max(o.Slots, 8))
	e := batch.New(engine.Model{Name: "fake", Precision: "none", Context: 200, Vocabulary: vocabulary}, f, bytes{}, template, o)
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
		if !f.closed {
			t.Error("the model is not closed")
		}
	})
	return e
}

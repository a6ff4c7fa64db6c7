// Package ref is the reference engine: the llama architecture in plain Go,
// with the same bits on every machine.
//
// It computes in float32 in a fixed order, rounds every product by an explicit
// conversion, and takes no function whose bits depend on the processor. That is
// precision class "f32-ref": two honest engines of this class agree exactly. A
// row's numbers do not depend on what else is computed with it, nor on the
// number of threads. Weights may be f32, f16, bf16, q8_0 or q4_0.
//
// It is the check on the other engines and the fallback without native code;
// it is made for small models. Start at [Open].
package ref

import (
	"fmt"
	"math"
	"os"
	"runtime"

	"github.com/plexus-network/plexus/engine"
	"github.com/plexus-network/plexus/engine/batch"
	"github.com/plexus-network/plexus/engine/bpe"
	"github.com/plexus-network/plexus/engine/chat"
	"github.com/plexus-network/plexus/engine/exact"
	"github.com/plexus-network/plexus/engine/gguf"
)

// Precision is the precision class of this engine.
const Precision = "f32-ref"

// maxParameters bounds a model: weights take four bytes each.
const maxParameters = 1 << 30

// Options tunes an engine. The zero value works.
type Options struct {
	Threads int // 0 means one less than there are processors, at least 1
	Context int // tokens per session; 0 means what the model was made for, at most 8192
	Batch   batch.Options
}

// Open loads the GGUF file at path and starts an engine on it. Its error wraps
// engine.ErrBadModel where the file is no good or of a kind it does not know.
func Open(path string, o Options) (*batch.Engine, error) {
	f, err := gguf.Open(path)
	if err != nil {
		return nil, err
	}
	if err := f.Check(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	hash, err := gguf.Hash(path)
	if err != nil {
		return nil, err
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open model: %w", err)
	}
	defer file.Close()
	vocab, err := bpe.New(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	template, err := chat.New(f.Text("tokenizer.chat_template"), vocab)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	m, err := load(f, file, vocab.Size())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	m.threads = o.Threads
	if m.threads <= 0 {
		m.threads = max(1, runtime.GOMAXPROCS(0)-1)
	}
	context := o.Context
	if context <= 0 {
		context = 8192
	}
	context = min(context, f.Arch("context_length", 0))
	return batch.New(engine.Model{
		Name:         f.Text("general.name"),
		Architecture: f.Architecture(),
		Precision:    Precision,
		Parameters:   f.Parameters(),
		Context:      context,
		Vocabulary:   vocab.Size(),
		FileHash:     hash,
	}, m, vocab, template, o.Batch), nil
}

// model is the weights and the sessions. It is a batch.Model.
type model struct {
	shape
	embed, output *matrix
	outputNorm    []float32
	layers        []layer
	threads       int

	frequency []float64 // of each pair of a head that rope turns
	sessions  map[int]*session
	logits    []engine.Logits
}

// shape is a model's dimensions.
type shape struct {
	dim, hidden, heads, kvHeads, head, rope, vocab int
	epsilon                                        float32
}

// layer is the weights of one layer.
type layer struct {
	norm1, norm2   []float32
	q, k, v, o     *matrix
	gate, up, down *matrix
}

// session is the keys and values of one slot: per layer, one row of
// kvHeads·head numbers per position.
type session struct {
	keys, values [][]float32
	length       int
}

func (m *model) session(slot int) *session {
	s := m.sessions[slot]
	if s == nil {
		s = &session{keys: make([][]float32, len(m.layers)), values: make([][]float32, len(m.layers))}
		m.sessions[slot] = s
	}
	return s
}

// Trim forgets a slot's rows from position n on.
func (m *model) Trim(slot, n int) int {
	s := m.session(slot)
	s.length = min(s.length, n)
	width := m.kvHeads * m.head
	for l := range s.keys {
		s.keys[l] = s.keys[l][:s.length*width]
		s.values[l] = s.values[l][:s.length*width]
	}
	return s.length
}

// Copy makes the slot to equal to the slot from.
func (m *model) Copy(from, to int) {
	a, b := m.session(from), m.session(to)
	b.length = a.length
	for l := range a.keys {
		b.keys[l] = append(b.keys[l][:0], a.keys[l]...)
		b.values[l] = append(b.values[l][:0], a.values[l]...)
	}
}

// Close frees nothing: the memory is Go's.
func (m *model) Close() {}

// Logits returns the scores that row i of the last Decode asked for.
func (m *model) Logits(i int) engine.Logits { return m.logits[i] }

// Decode computes rows and keeps them in their slots.
func (m *model) Decode(rows []batch.Row) error {
	for _, r := range rows {
		s := m.session(r.Slot)
		if r.Position != s.length {
			return fmt.Errorf("row of position %d in a session of %d", r.Position, s.length)
		}
		s.length++
	}
	x := m.forward(rows)
	m.logits = make([]engine.Logits, len(rows))
	var wanted [][]float32
	for i, r := range rows {
		if r.Logits {
			m.logits[i] = make(engine.Logits, m.vocab)
			wanted = append(wanted, m.normed(x[i], m.outputNorm))
		}
	}
	out := m.times(m.output, wanted)
	n := 0
	for i, r := range rows {
		if r.Logits {
			m.logits[i] = out[n]
			n++
		}
	}
	return nil
}

// embedSlot is the slot that Embed uses; the scheduler's begin at 0.
const embedSlot = -1

// Embed returns the mean of the last layer's normed states over tokens.
func (m *model) Embed(tokens []engine.Token) ([]float32, error) {
	m.Trim(embedSlot, 0)
	rows := make([]batch.Row, len(tokens))
	for i, t := range tokens {
		rows[i] = batch.Row{Token: t, Slot: embedSlot, Position: i}
	}
	m.session(embedSlot).length = len(rows)
	out := make([]float32, m.dim)
	for _, x := range m.forward(rows) {
		for i, v := range m.normed(x, m.outputNorm) {
			out[i] += v
		}
	}
	for i := range out {
		out[i] /= float32(len(tokens))
	}
	delete(m.sessions, embedSlot)
	return out, nil
}

// forward computes the states of rows after the last layer.
func (m *model) forward(rows []batch.Row) [][]float32 {
	x := make([][]float32, len(rows))
	for i, r := range rows {
		x[i] = append([]float32(nil), m.embed.row(int(r.Token))...)
	}
	for l := range m.layers {
		m.attend(l, rows, x)
		m.feed(l, x)
	}
	return x
}

// attend adds a layer's attention to x.
func (m *model) attend(l int, rows []batch.Row, x [][]float32) {
	w := &m.layers[l]
	n := m.normedAll(x, w.norm1)
	q, k, v := m.times(w.q, n), m.times(w.k, n), m.times(w.v, n)
	for i, r := range rows {
		sin, cos := m.angles(r.Position)
		m.turn(q[i], sin, cos)
		m.turn(k[i], sin, cos)
		s := m.session(r.Slot)
		s.keys[l] = append(s.keys[l], k[i]...)
		s.values[l] = append(s.values[l], v[i]...)
	}
	out := make([][]float32, len(rows))
	m.parallel(len(rows), func(i int) {
		s := m.session(rows[i].Slot)
		out[i] = m.mix(q[i], s.keys[l], s.values[l], rows[i].Position+1)
	})
	add(x, m.times(w.o, out))
}

// mix is the attention of one row's heads over the first n positions.
func (m *model) mix(q, keys, values []float32, n int) []float32 {
	width := m.kvHeads * m.head
	out := make([]float32, m.heads*m.head)
	score := make([]float32, n)
	scale := float32(1 / math.Sqrt(float64(m.head)))
	for h := range m.heads {
		at := h * m.kvHeads / m.heads * m.head
		mine := q[h*m.head : (h+1)*m.head]
		for p := range n {
			score[p] = float32(dot(mine, keys[p*width+at:p*width+at+m.head]) * scale)
		}
		softmax(score)
		o := out[h*m.head : (h+1)*m.head]
		for p, s := range score {
			for i, v := range values[p*width+at : p*width+at+m.head] {
				o[i] += float32(s * v)
			}
		}
	}
	return out
}

// feed adds a layer's feed-forward net to x: down(silu(gate)·up).
func (m *model) feed(l int, x [][]float32) {
	w := &m.layers[l]
	n := m.normedAll(x, w.norm2)
	gate, up := m.times(w.gate, n), m.times(w.up, n)
	m.parallel(len(x), func(i int) {
		for j, g := range gate[i] {
			sigmoid := float32(1 / (1 + exact.Exp(-float64(g))))
			gate[i][j] = float32(float32(g*sigmoid) * up[i][j])
		}
	})
	add(x, m.times(w.down, gate))
}

// add adds y to x.
func add(x, y [][]float32) {
	for i := range x {
		for j, v := range y[i] {
			x[i][j] += v
		}
	}
}

func (m *model) normedAll(x [][]float32, w []float32) [][]float32 {
	out := make([][]float32, len(x))
	for i := range x {
		out[i] = m.normed(x[i], w)
	}
	return out
}

// normed is RMSNorm: x over the root of its mean square, times w.
func (m *model) normed(x, w []float32) []float32 {
	mean := dot(x, x) / float32(len(x))
	scale := float32(1 / math.Sqrt(float64(mean+m.epsilon)))
	out := make([]float32, len(x))
	for i, v := range x {
		out[i] = float32(float32(v*scale) * w[i])
	}
	return out
}

// softmax turns scores into shares, in place.
func softmax(s []float32) {
	top := s[0]
	for _, v := range s {
		top = max(top, v)
	}
	sum := float32(0)
	for i, v := range s {
		s[i] = float32(exact.Exp(float64(v - top)))
		sum += s[i]
	}
	for i := range s {
		s[i] /= sum
	}
}

// angles returns the sine and cosine of each pair's angle at a position.
func (m *model) angles(position int) (sin, cos []float32) {
	sin, cos = make([]float32, len(m.frequency)), make([]float32, len(m.frequency))
	for i, f := range m.frequency {
		s, c := exact.SinCos(float64(float64(position) * f))
		sin[i], cos[i] = float32(s), float32(c)
	}
	return sin, cos
}

// turn rotates the pairs (2i, 2i+1) of each head: rotary positions in the
// order that GGUF files of this architecture keep.
func (m *model) turn(x, sin, cos []float32) {
	for h := 0; h < len(x); h += m.head {
		for i := range sin {
			a, b := x[h+2*i], x[h+2*i+1]
			x[h+2*i] = float32(a*cos[i]) - float32(b*sin[i])
			x[h+2*i+1] = float32(a*sin[i]) + float32(b*cos[i])
		}
	}
}

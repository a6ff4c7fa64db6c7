package ref

import (
	"fmt"
	"io"
	"math"

	"github.com/plexus-network/plexus/engine"
	"github.com/plexus-network/plexus/engine/exact"
	"github.com/plexus-network/plexus/engine/gguf"
	"github.com/plexus-network/plexus/engine/quant"
)

func bad(format string, args ...any) error {
	return fmt.Errorf("%w: %s", engine.ErrBadModel, fmt.Sprintf(format, args...))
}

// load reads a model's weights.
func load(f *gguf.File, r io.ReaderAt, vocabulary int) (*model, error) {
	if a := f.Architecture(); a != "llama" {
		return nil, bad("its architecture is %q, the reference engine knows \"llama\"", a)
	}
	if n := f.Parameters(); n > maxParameters {
		return nil, bad("%d parameters, the reference engine takes %d", n, maxParameters)
	}
	m := &model{sessions: map[int]*session{}}
	if err := m.measure(f, vocabulary); err != nil {
		return nil, err
	}
	l := &loader{file: f, r: r}
	m.embed = l.matrix("token_embd.weight", m.dim, m.vocab)
	m.outputNorm = l.vector("output_norm.weight", m.dim)
	m.output = m.embed
	if _, ok := f.Tensor("output.weight"); ok {
		m.output = l.matrix("output.weight", m.dim, m.vocab)
	}
	for i := range f.Arch("block_count", 0) {
		m.layers = append(m.layers, m.layer(l, fmt.Sprintf("blk.%d.", i)))
		if l.err != nil {
			break
		}
	}
	m.frequencies(f, l)
	return m, l.err
}

// measure reads the model's dimensions and checks that they fit each other.
func (m *model) measure(f *gguf.File, vocabulary int) error {
	m.dim, m.vocab = f.Arch("embedding_length", 0), vocabulary
	m.hidden = f.Arch("feed_forward_length", 0)
	m.heads = f.Arch("attention.head_count", 0)
	m.kvHeads = f.Arch("attention.head_count_kv", m.heads)
	m.epsilon = float32(f.Float("attention.layer_norm_rms_epsilon", 1e-5))
	if m.heads < 1 || m.kvHeads < 1 || m.heads%m.kvHeads != 0 || m.hidden < 1 {
		return bad("%d heads, %d key heads, %d hidden numbers do not fit each other", m.heads, m.kvHeads, m.hidden)
	}
	m.head = f.Arch("attention.key_length", m.dim/m.heads)
	m.rope = f.Arch("rope.dimension_count", m.head)
	if m.head < 2 || m.head > m.dim || m.rope < 2 || m.rope > m.head || m.rope%2 != 0 {
		return bad("heads of %d numbers, %d of them turned, do not fit each other", m.head, m.rope)
	}
	if f.Arch("attention.value_length", m.head) != m.head {
		return bad("keys and values of different length")
	}
	if f.Arch("expert_count", 0) > 0 {
		return bad("the reference engine knows no mixtures of experts")
	}
	if s := f.Text("llama.rope.scaling.type"); s != "" && s != "none" && s != "linear" {
		return bad("the reference engine does not know rope scaling %q", s)
	}
	return nil
}

func (m *model) layer(l *loader, prefix string) layer {
	kv := m.kvHeads * m.head
	return layer{
		norm1: l.vector(prefix+"attn_norm.weight", m.dim),
		norm2: l.vector(prefix+"ffn_norm.weight", m.dim),
		q:     l.matrix(prefix+"attn_q.weight", m.dim, m.heads*m.head),
		k:     l.matrix(prefix+"attn_k.weight", m.dim, kv),
		v:     l.matrix(prefix+"attn_v.weight", m.dim, kv),
		o:     l.matrix(prefix+"attn_output.weight", m.heads*m.head, m.dim),
		gate:  l.matrix(prefix+"ffn_gate.weight", m.dim, m.hidden),
		up:    l.matrix(prefix+"ffn_up.weight", m.dim, m.hidden),
		down:  l.matrix(prefix+"ffn_down.weight", m.hidden, m.dim),
	}
}

// frequencies computes how fast each pair of a head turns: base^(−2i/d).
func (m *model) frequencies(f *gguf.File, l *loader) {
	base := f.Float("rope.freq_base", 10000)
	scale := 1.0
	if f.Text("llama.rope.scaling.type") == "linear" {
		scale = 1 / f.Float("rope.scaling.factor", 1)
	}
	if !(base >= 1) || !(scale > 0) || math.IsInf(base, 0) || math.IsInf(scale, 0) {
		l.fail(bad("rope base %v, scale %v", base, scale))
		return
	}
	var factors []float32
	if _, ok := f.Tensor("rope_freqs.weight"); ok {
		factors = l.vector("rope_freqs.weight", m.rope/2)
	}
	m.frequency = make([]float64, m.rope/2)
	for i := range m.frequency {
		m.frequency[i] = float64(exact.Pow(base, -2*float64(i)/float64(m.rope)) * scale)
		if i < len(factors) {
			m.frequency[i] /= float64(factors[i])
		}
	}
}

// loader reads tensors until its first error.
type loader struct {
	file *gguf.File
	r    io.ReaderAt
	err  error
}

func (l *loader) fail(err error) {
	if l.err == nil {
		l.err = err
	}
}

func (l *loader) vector(name string, n int) []float32 {
	w := l.tensor(name, n, 1)
	if w == nil {
		return nil
	}
	return w.numbers
}

func (l *loader) matrix(name string, columns, rows int) *matrix {
	return l.tensor(name, columns, rows)
}

// tensor reads a tensor of rows of columns numbers, or fails and returns nil.
func (l *loader) tensor(name string, columns, rows int) *matrix {
	if l.err != nil {
		return nil
	}
	t, ok := l.file.Tensor(name)
	if !ok {
		l.fail(bad("tensor %q is missing", name))
		return nil
	}
	if t.Shape[0] != columns || t.Elements() != int64(columns)*int64(rows) {
		l.fail(bad("tensor %q has the shape %v, want [%d %d]", name, t.Shape, columns, rows))
		return nil
	}
	b := make([]byte, t.Size)
	if _, err := l.r.ReadAt(b, t.Offset); err != nil {
		l.fail(fmt.Errorf("tensor %q: %w", name, err))
		return nil
	}
	numbers, err := quant.Widen(t.Type, b)
	if err != nil {
		l.fail(bad("tensor %q: %v", name, err))
		return nil
	}
	return &matrix{rows: rows, columns: columns, numbers: numbers}
}

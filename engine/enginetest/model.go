package enginetest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/plexus-network/plexus/engine/gguf"
)

// A Shape is the dimensions of a random model. Zero fields mean a model of
// dim 64, hidden 128, 2 layers, 4 heads over 2 key heads, context 256, f16.
type Shape struct {
	Dim, Hidden, Layers, Heads, KeyHeads, Context int

	Type     gguf.Type // F32, F16 or Q8_0; the zero Type is F32
	Seed     uint64
	Template string // chat template; "" means ChatML
	Arch     string // "" means llama
}

// template is ChatML as a chat template.
const template = `{%- for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}{%- endfor %}{%- if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{%- endif %}`

func (s Shape) withDefaults() Shape {
	set := func(v *int, otherwise int) {
		if *v == 0 {
			*v = otherwise
		}
	}
	set(&s.Dim, 64)
	set(&s.Hidden, 2*s.Dim)
	set(&s.Layers, 2)
	set(&s.Heads, 4)
	set(&s.KeyHeads, 2)
	set(&s.Context, 256)
	if s.Template == "" {
		s.Template = template
	}
	if s.Arch == "" {
		s.Arch = "llama"
	}
	return s
}

// RandomModel writes a model of random weights into the test's folder and
// returns its path. The same shape gives the same bytes.
func RandomModel(t testing.TB, s Shape) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "random.gguf")
	if err := os.WriteFile(path, RandomBytes(t, s), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// RandomBytes returns the bytes of a model of random weights.
func RandomBytes(t testing.TB, s Shape) []byte {
	t.Helper()
	s = s.withDefaults()
	tokens, kinds, merges := vocabulary()
	n := len(tokens)
	keys := []gguf.Key{
		{Name: "general.architecture", Value: s.Arch},
		{Name: "general.name", Value: fmt.Sprintf("random-%d", s.Seed)},
		{Name: s.Arch + ".block_count", Value: uint32(s.Layers)},
		{Name: s.Arch + ".context_length", Value: uint32(s.Context)},
		{Name: s.Arch + ".embedding_length", Value: uint32(s.Dim)},
		{Name: s.Arch + ".feed_forward_length", Value: uint32(s.Hidden)},
		{Name: s.Arch + ".attention.head_count", Value: uint32(s.Heads)},
		{Name: s.Arch + ".attention.head_count_kv", Value: uint32(s.KeyHeads)},
		{Name: s.Arch + ".attention.layer_norm_rms_epsilon", Value: float32(1e-5)},
		{Name: s.Arch + ".rope.dimension_count", Value: uint32(s.Dim / s.Heads)},
		{Name: s.Arch + ".vocab_size", Value: uint32(n)},
		{Name: "tokenizer.ggml.model", Value: "gpt2"},
		{Name: "tokenizer.ggml.pre", Value: "gpt-2"},
		{Name: "tokenizer.ggml.tokens", Value: tokens},
		{Name: "tokenizer.ggml.token_type", Value: kinds},
		{Name: "tokenizer.ggml.merges", Value: merges},
		{Name: "tokenizer.ggml.bos_token_id", Value: uint32(n - 1)},
		{Name: "tokenizer.ggml.eos_token_id", Value: uint32(n - 2)},
		{Name: "tokenizer.ggml.add_bos_token", Value: false},
		{Name: "tokenizer.chat_template", Value: s.Template},
	}
	w := &weights{rng: rand.New(rand.NewPCG(s.Seed, 1)), kind: s.Type}
	head := s.Dim / s.Heads
	w.matrix("token_embd.weight", s.Dim, n, 1)
	for i := range s.Layers {
		p := fmt.Sprintf("blk.%d.", i)
		w.ones(p+"attn_norm.weight", s.Dim)
		w.matrix(p+"attn_q.weight", s.Dim, s.Heads*head, 1.5)
		w.matrix(p+"attn_k.weight", s.Dim, s.KeyHeads*head, 1.5)
		w.matrix(p+"attn_v.weight", s.Dim, s.KeyHeads*head, 1)
		w.matrix(p+"attn_output.weight", s.Heads*head, s.Dim, 1)
		w.ones(p+"ffn_norm.weight", s.Dim)
		w.matrix(p+"ffn_gate.weight", s.Dim, s.Hidden, 1)
		w.matrix(p+"ffn_up.weight", s.Dim, s.Hidden, 1)
		w.matrix(p+"ffn_down.weight", s.Hidden, s.Dim, 1)
	}
	w.ones("output_norm.weight", s.Dim)
	w.matrix("output.weight", s.Dim, n, 2)
	var b bytes.Buffer
	if err := gguf.Write(&b, keys, w.tensors); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// weights makes random tensors.
type weights struct {
	rng     *rand.Rand
	kind    gguf.Type
	tensors []gguf.Source
}

// matrix adds a tensor with the deviation scale/√columns.
func (w *weights) matrix(name string, columns, rows int, scale float64) {
	numbers := make([]float32, columns*rows)
	for i := range numbers {
		numbers[i] = float32(w.rng.NormFloat64() * scale / math.Sqrt(float64(columns)))
	}
	w.tensors = append(w.tensors, gguf.Source{Name: name, Type: w.kind, Shape: []int{columns, rows}, Data: narrow(w.kind, numbers)})
}

func (w *weights) ones(name string, n int) {
	numbers := make([]float32, n)
	for i := range numbers {
		numbers[i] = 1
	}
	w.tensors = append(w.tensors, gguf.Source{Name: name, Type: gguf.F32, Shape: []int{n}, Data: narrow(gguf.F32, numbers)})
}

// narrow writes numbers in the layout of a type.
func narrow(t gguf.Type, numbers []float32) []byte {
	var b []byte
	le := binary.LittleEndian
	switch t {
	case gguf.F16:
		for _, v := range numbers {
			b = le.AppendUint16(b, half(v))
		}
	case gguf.Q8_0:
		for ; len(numbers) > 0; numbers = numbers[32:] {
			top := 0.0
			for _, v := range numbers[:32] {
				top = max(top, math.Abs(float64(v)))
			}
			b = le.AppendUint16(b, half(float32(top/127)))
			for _, v := range numbers[:32] {
				b = append(b, byte(int8(math.Round(float64(v)/max(top/127, 1e-30)))))
			}
		}
	default:
		for _, v := range numbers {
			b = le.AppendUint32(b, math.Float32bits(v))
		}
	}
	return b
}

// half narrows v to half precision by cutting off; small numbers become zero.
func half(v float32) uint16 {
	u := math.Float32bits(v)
	sign, exponent := uint16(u>>31)<<15, int(u>>23&255)-112
	if exponent <= 0 {
		return sign
	}
	return sign | uint16(exponent)<<10 | uint16(u>>13&1023)
}

// corpus is what the merges of the test vocabulary are learned from.
const corpus = "the network of machine intelligence pays the miners that answer and the validators that check the answers " +
	"in the end there is one chain and one token and one binary and the answer to the question is in the text"

// vocabulary returns 256 bytes, some merges and three control tokens.
func vocabulary() (tokens []string, kinds []int32, merges []string) {
	for b := range 256 {
		r := rune(b)
		if !(b >= '!' && b <= '~' || b >= 0xA1 && b <= 0xAC || b >= 0xAE) {
			r = rune(256 + len(unseen(b)))
		}
		tokens = append(tokens, string(r))
	}
	parts := strings.Split(strings.ReplaceAll(corpus, " ", "Ġ"), "")
	for range 60 {
		a, b := commonest(parts)
		merges = append(merges, a+" "+b)
		tokens = append(tokens, a+b)
		parts = merged(parts, a, b)
	}
	for range tokens {
		kinds = append(kinds, 1)
	}
	return append(tokens, "<|im_start|>", "<|im_end|>", "<|endoftext|>"), append(kinds, 3, 3, 3), merges
}

// unseen lists the bytes below b that have no printable letter.
func unseen(b int) []int {
	var out []int
	for c := range b {
		if !(c >= '!' && c <= '~' || c >= 0xA1 && c <= 0xAC || c >= 0xAE) {
			out = append(out, c)
		}
	}
	return out
}

// commonest returns the pair of neighbours that is seen most, the first one in
// the text among equals. A pair may not cross into a new word.
func commonest(parts []string) (a, b string) {
	count := map[[2]string]int{}
	for i := range len(parts) - 1 {
		if !strings.HasPrefix(parts[i+1], "Ġ") {
			count[[2]string{parts[i], parts[i+1]}]++
		}
	}
	best := 0
	for i := range len(parts) - 1 {
		if n := count[[2]string{parts[i], parts[i+1]}]; n > best {
			a, b, best = parts[i], parts[i+1], n
		}
	}
	return a, b
}

func merged(parts []string, a, b string) []string {
	var out []string
	for i := 0; i < len(parts); i++ {
		if i+1 < len(parts) && parts[i] == a && parts[i+1] == b {
			out = append(out, a+b)
			i++
		} else {
			out = append(out, parts[i])
		}
	}
	return out
}

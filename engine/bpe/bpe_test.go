package bpe_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/plexus-network/plexus/engine"
	"github.com/plexus-network/plexus/engine/bpe"
	"github.com/plexus-network/plexus/engine/enginetest"
	"github.com/plexus-network/plexus/engine/gguf"
	"pgregory.net/rapid"
)

// file makes a header with these keys.
func file(t testing.TB, keys ...gguf.Key) *gguf.File {
	t.Helper()
	var b bytes.Buffer
	if err := gguf.Write(&b, keys, nil); err != nil {
		t.Fatal(err)
	}
	f, err := gguf.Read(bytes.NewReader(b.Bytes()), int64(b.Len()))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// random is the vocabulary of the test models.
func random(t testing.TB) *bpe.Vocabulary {
	t.Helper()
	b := enginetest.RandomBytes(t, enginetest.Shape{})
	f, err := gguf.Read(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	v, err := bpe.New(f)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func pieces(t *testing.T, v *bpe.Vocabulary, text string) []string {
	t.Helper()
	tokens, err := v.Encode(text)
	if err != nil {
		t.Fatal(err)
	}
	out := make([]string, len(tokens))
	for i, x := range tokens {
		out[i] = v.Piece(x)
	}
	return out
}

func TestMergesByRank(t *testing.T) {
	v, err := bpe.New(file(t,
		gguf.Key{Name: "tokenizer.ggml.model", Value: "gpt2"}, gguf.Key{Name: "tokenizer.ggml.pre", Value: "gpt-2"},
		gguf.Key{Name: "tokenizer.ggml.tokens", Value: []string{"a", "b", "c", "Ġ", "ab", "bc", "abc", "Ġa", "<tool>", "<end>"}},
		gguf.Key{Name: "tokenizer.ggml.token_type", Value: []int32{1, 1, 1, 1, 1, 1, 1, 1, 4, 3}},
		gguf.Key{Name: "tokenizer.ggml.merges", Value: []string{"b c", "a b", "a bc", "Ġ a"}},
		gguf.Key{Name: "tokenizer.ggml.eos_token_id", Value: uint32(9)},
	))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		text string
		want []string
	}{
		{"abc", []string{"abc"}},
		{"ab", []string{"ab"}},
		{"abab", []string{"ab", "ab"}},
		{"aabc", []string{"a", "abc"}},
		{" a a", []string{" a", " a"}},
		{"x<tool>ab", []string{"<tool>", "ab"}}, // x has no token
		{"a<end>", []string{"a"}},               // a control token's letters have none either
	} {
		if got := pieces(t, v, c.text); !slices.Equal(got, c.want) {
			t.Errorf("%q: got %q, want %q", c.text, got, c.want)
		}
	}
	if !v.Ends(9) || v.Ends(0) || v.Piece(9) != "" || v.Piece(-1) != "" || v.Piece(99) != "" {
		t.Error("the end of turn is not known as one")
	}
	if c := v.Controls(); len(c) != 1 || c["<end>"] != 9 {
		t.Errorf("controls are %v", c)
	}
}

func TestRoundTrip(t *testing.T) {
	v := random(t)
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.StringMatching(`[a-z' \n]{0,60}`)).Draw(t, "text")
		tokens, err := v.Encode(text)
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		for _, x := range tokens {
			if v.Ends(x) {
				t.Fatalf("%q has an end of turn in it", text)
			}
			b.WriteString(v.Piece(x))
		}
		if b.String() != text {
			t.Fatalf("%q comes back as %q", text, b.String())
		}
	})
}

// TestEncodeIsQuick encodes what is worst for merging: a word without end.
func TestEncodeIsQuick(t *testing.T) {
	v := random(t)
	start := time.Now()
	if _, err := v.Encode(strings.Repeat("the", 20_000)); err != nil {
		t.Fatal(err)
	}
	if d := time.Since(start); d > 5*time.Second {
		t.Errorf("60,000 bytes take %v", d)
	}
}

func TestNewRefuses(t *testing.T) {
	model, pre := gguf.Key{Name: "tokenizer.ggml.model", Value: "gpt2"}, gguf.Key{Name: "tokenizer.ggml.pre", Value: "gpt-2"}
	tokens := gguf.Key{Name: "tokenizer.ggml.tokens", Value: []string{"a"}}
	for _, c := range []struct {
		name, want string
		keys       []gguf.Key
	}{
		{"another tokenizer", `"llama"`, []gguf.Key{{Name: "tokenizer.ggml.model", Value: "llama"}}},
		{"another pre-tokenizer", `"qwen2"`, []gguf.Key{model, {Name: "tokenizer.ggml.pre", Value: "qwen2"}}},
		{"no tokens", "0 tokens", []gguf.Key{model, pre}},
		{"a merge of one", `"ab"`, []gguf.Key{model, pre, tokens, {Name: "tokenizer.ggml.merges", Value: []string{"ab"}}}},
		{"no end", "ends a turn", []gguf.Key{model, pre, tokens}},
	} {
		if _, err := bpe.New(file(t, c.keys...)); !errors.Is(err, engine.ErrBadModel) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want ErrBadModel with %q", c.name, err, c.want)
		}
	}
}

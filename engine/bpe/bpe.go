// Package bpe is the byte-level byte-pair tokenizer of GPT-2 as GGUF files
// carry it: tokenizer.ggml.model = "gpt2" with a list of tokens and a list of
// merges.
//
// It gives the tokens that llama.cpp gives for the "gpt-2" pre-tokenizer, and
// needs no native code. Start at [New]. A Vocabulary does not change and may
// be used from many goroutines.
package bpe

import (
	"fmt"
	"sort"
	"strings"

	"github.com/plexus-network/plexus/engine"
	"github.com/plexus-network/plexus/engine/gguf"
)

// The kinds of tokens that matter here, as tokenizer.ggml.token_type numbers them.
const (
	kindUnknown = 2
	kindControl = 3
	kindUser    = 4
	kindUnused  = 5
)

// none marks a token that a vocabulary does not have.
const none engine.Token = -1

// A Vocabulary turns text into tokens and back.
type Vocabulary struct {
	pieces  []string // raw bytes of each token; a control token's own text
	kinds   []int8
	ids     map[string]engine.Token // by the text in the file's alphabet
	ranks   map[[2]string]int       // of a merge of two texts; lower goes first
	user    []engine.Token          // user-defined tokens, longest first
	control []engine.Token          // control tokens, longest first
	ends    map[engine.Token]bool
	bos     engine.Token
}

// endTexts are control tokens that end a turn, by their usual texts: files name
// one or two of them by id and leave the others to be known (llama.cpp:
// llama-vocab.cpp, special_eog_ids).
var endTexts = []string{
	"<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|eom_id|>", "<|end|>", "<|return|>", "<|call|>",
	"<end_of_turn>", "<EOT>", "_<EOT>", "<|end_of_text|>", "<end_of_utterance>",
}

// New reads the vocabulary of a model file. Its error wraps
// engine.ErrBadModel, also for a tokenizer of another kind.
func New(f *gguf.File) (*Vocabulary, error) {
	if m := f.Text("tokenizer.ggml.model"); m != "gpt2" {
		return nil, fmt.Errorf("%w: its tokenizer is %q, the Go tokenizer knows \"gpt2\"", engine.ErrBadModel, m)
	}
	if p := f.Text("tokenizer.ggml.pre"); p != "gpt-2" && p != "gpt2" {
		return nil, fmt.Errorf("%w: its pre-tokenizer is %q, the Go tokenizer knows \"gpt-2\"", engine.ErrBadModel, p)
	}
	texts, _ := gguf.Value[[]string](f, "tokenizer.ggml.tokens")
	kinds, _ := gguf.Value[[]int64](f, "tokenizer.ggml.token_type")
	merges, _ := gguf.Value[[]string](f, "tokenizer.ggml.merges")
	if len(texts) == 0 || len(kinds) != 0 && len(kinds) != len(texts) {
		return nil, fmt.Errorf("%w: %d tokens with %d types", engine.ErrBadModel, len(texts), len(kinds))
	}
	v := &Vocabulary{
		pieces: make([]string, len(texts)),
		kinds:  make([]int8, len(texts)),
		ids:    make(map[string]engine.Token, len(texts)),
		ranks:  make(map[[2]string]int, len(merges)),
		ends:   map[engine.Token]bool{},
		bos:    none,
	}
	for i, text := range texts {
		v.ids[text] = engine.Token(i)
		if len(kinds) > 0 {
			v.kinds[i] = int8(kinds[i])
		}
		v.addPiece(engine.Token(i), text)
	}
	for rank, m := range merges {
		left, right, ok := strings.Cut(m, " ")
		if !ok {
			return nil, fmt.Errorf("%w: merge %d is %q, want two texts", engine.ErrBadModel, rank, m)
		}
		if _, ok := v.ranks[[2]string{left, right}]; !ok {
			v.ranks[[2]string{left, right}] = rank
		}
	}
	longestFirst(v.user, v.pieces)
	longestFirst(v.control, v.pieces)
	return v, v.addSpecial(f)
}

// addPiece keeps what token t stands for.
func (v *Vocabulary) addPiece(t engine.Token, text string) {
	switch v.kinds[t] {
	case kindControl, kindUnknown:
		v.pieces[t] = text
		v.control = append(v.control, t)
	case kindUser:
		v.pieces[t] = text
		v.user = append(v.user, t)
	case kindUnused:
	default:
		v.pieces[t] = fromAlphabet(text)
	}
}

// addSpecial finds the tokens that begin a text and end a turn.
func (v *Vocabulary) addSpecial(f *gguf.File) error {
	for _, text := range endTexts {
		if t, ok := v.ids[text]; ok {
			v.ends[t] = true
			v.makeControl(t, text)
		}
	}
	for _, key := range []string{"eos", "eot", "eom"} {
		if id := f.Int("tokenizer.ggml."+key+"_token_id", -1); id >= 0 && id < len(v.pieces) {
			v.ends[engine.Token(id)] = true
		}
	}
	if len(v.ends) == 0 {
		return fmt.Errorf("%w: no token ends a turn (tokenizer.ggml.eos_token_id is missing)", engine.ErrBadModel)
	}
	add, _ := gguf.Value[bool](f, "tokenizer.ggml.add_bos_token")
	if id := f.Int("tokenizer.ggml.bos_token_id", -1); add && id >= 0 && id < len(v.pieces) {
		v.bos = engine.Token(id)
	}
	return nil
}

// makeControl corrects a file that lists an end of turn as plain text.
func (v *Vocabulary) makeControl(t engine.Token, text string) {
	if v.kinds[t] == kindControl {
		return
	}
	v.kinds[t] = kindControl
	v.pieces[t] = text
	v.control = append(v.control, t)
	longestFirst(v.control, v.pieces)
}

func longestFirst(tokens []engine.Token, pieces []string) {
	sort.SliceStable(tokens, func(i, j int) bool { return len(pieces[tokens[i]]) > len(pieces[tokens[j]]) })
}

// Size is the number of tokens.
func (v *Vocabulary) Size() int { return len(v.pieces) }

// Begin is the token that goes before every text, or −1 where there is none.
func (v *Vocabulary) Begin() engine.Token { return v.bos }

// Ends tells whether t ends the assistant's turn.
func (v *Vocabulary) Ends(t engine.Token) bool { return v.ends[t] }

// Piece is the bytes that t stands for, which need not be whole UTF-8. Control
// tokens and tokens outside the vocabulary have none.
func (v *Vocabulary) Piece(t engine.Token) string {
	if t < 0 || int(t) >= len(v.pieces) || v.kinds[t] == kindControl || v.kinds[t] == kindUnknown {
		return ""
	}
	return v.pieces[t]
}

// Controls returns the texts of the control tokens with their tokens.
func (v *Vocabulary) Controls() map[string]engine.Token {
	m := make(map[string]engine.Token, len(v.control))
	for _, t := range v.control {
		m[v.pieces[t]] = t
	}
	return m
}

// Encode returns the tokens of text. It never makes a control token: their
// texts are text like any other. Its error is always nil.
func (v *Vocabulary) Encode(text string) ([]engine.Token, error) {
	var out []engine.Token
	v.encodeUser(text, v.user, &out)
	return out, nil
}

// encodeUser takes the first of the user-defined tokens out of text wherever
// it stands, and gives what lies between to the next one.
func (v *Vocabulary) encodeUser(text string, user []engine.Token, out *[]engine.Token) {
	if len(user) == 0 || text == "" {
		v.encodeText(text, out)
		return
	}
	piece := v.pieces[user[0]]
	for piece != "" {
		before, after, found := strings.Cut(text, piece)
		if !found {
			break
		}
		v.encodeUser(before, user[1:], out)
		*out = append(*out, user[0])
		text = after
	}
	v.encodeUser(text, user[1:], out)
}

func (v *Vocabulary) encodeText(text string, out *[]engine.Token) {
	for len(text) > 0 {
		n := word(text)
		v.merge(toAlphabet(text[:n]), out)
		text = text[n:]
	}
}

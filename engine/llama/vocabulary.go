//go:build cgo

package llama

// #include "abi.h"
import "C"

import (
	"fmt"
	"math"
	"unsafe"

	"github.com/plexus-network/plexus/engine"
)

// Attributes of tokens, as llama_vocab_get_attr gives them.
const (
	attrUnknown = 1 << 0
	attrControl = 1 << 3
)

// vocabulary is a model's tokens. It is a batch.Vocabulary.
type vocabulary struct {
	vocab    *C.struct_llama_vocab
	pieces   []string
	ends     []bool
	controls map[string]engine.Token
	begin    engine.Token
}

func newVocabulary(vocab *C.struct_llama_vocab) *vocabulary {
	n := int(C.llama_vocab_n_tokens(vocab))
	v := &vocabulary{
		vocab: vocab, pieces: make([]string, n), ends: make([]bool, n),
		controls: map[string]engine.Token{}, begin: -1,
	}
	buf := make([]byte, 256)
	for i := range n {
		t := C.llama_token(i)
		v.pieces[i] = piece(vocab, t, &buf)
		v.ends[i] = bool(C.llama_vocab_is_eog(vocab, t))
		if C.llama_vocab_get_attr(vocab, t)&(attrControl|attrUnknown) != 0 {
			v.controls[C.GoString(C.llama_vocab_get_text(vocab, t))] = engine.Token(i)
		}
	}
	if bool(C.llama_vocab_get_add_bos(vocab)) {
		v.begin = engine.Token(C.llama_vocab_bos(vocab))
	}
	return v
}

// piece is the bytes of one token; buf grows as needed.
func piece(vocab *C.struct_llama_vocab, t C.llama_token, buf *[]byte) string {
	for {
		n := C.llama_token_to_piece(vocab, t, (*C.char)(unsafe.Pointer(&(*buf)[0])), C.int32_t(len(*buf)), 0, false)
		if n >= 0 {
			return string((*buf)[:n])
		}
		*buf = make([]byte, -n)
	}
}

// Size is the number of tokens.
func (v *vocabulary) Size() int { return len(v.pieces) }

// Begin is the token that goes before every text, or −1.
func (v *vocabulary) Begin() engine.Token { return v.begin }

// Controls returns the texts of the control tokens with their tokens.
func (v *vocabulary) Controls() map[string]engine.Token { return v.controls }

// Piece is the bytes of a token; control tokens and unknown ones have none.
func (v *vocabulary) Piece(t engine.Token) string {
	if t < 0 || int(t) >= len(v.pieces) {
		return ""
	}
	return v.pieces[t]
}

// Ends tells whether t ends the assistant's turn.
func (v *vocabulary) Ends(t engine.Token) bool {
	return t >= 0 && int(t) < len(v.ends) && v.ends[t]
}

// Encode returns the tokens of text and makes no control tokens.
func (v *vocabulary) Encode(text string) ([]engine.Token, error) {
	if text == "" {
		return nil, nil
	}
	if len(text) > math.MaxInt32/4 {
		return nil, fmt.Errorf("%w: a text of %d bytes", engine.ErrTooLong, len(text))
	}
	out := make([]engine.Token, len(text)+2)
	n := v.tokenize(text, out)
	if n < 0 {
		out = make([]engine.Token, -n)
		n = v.tokenize(text, out)
	}
	if n < 0 {
		return nil, fmt.Errorf("llama: a text of %d bytes cannot be tokenized", len(text))
	}
	return out[:n], nil
}

func (v *vocabulary) tokenize(text string, out []engine.Token) int {
	return int(C.llama_tokenize(v.vocab, (*C.char)(unsafe.Pointer(unsafe.StringData(text))), C.int32_t(len(text)),
		(*C.llama_token)(unsafe.Pointer(&out[0])), C.int32_t(len(out)), false, false))
}

package main

import (
	"github.com/plexus-network/plexus/engine"
	"github.com/plexus-network/plexus/engine/stock/corpus"
	"github.com/plexus-network/plexus/engine/stock/vocab"
	"github.com/plexus-network/plexus/engine/train"
)

// vocabulary is the count of tokens of a stock model, control tokens included.
const vocabulary = 1024

// The control tokens follow the byte pairs.
const (
	turnStart = "<|im_start|>"
	turnEnd   = "<|im_end|>"
	textEnd   = "<|endoftext|>"

	startToken = vocabulary - 3
	endToken   = vocabulary - 2
	stopToken  = vocabulary - 1
)

// template is ChatML, as corpus documents are written out by tokenizer.prompt.
const template = `{% for message in messages %}{{ '` + turnStart + `' + message['role'] + '
' + message['content'] + '` + turnEnd + `' + '
' }}{% endfor %}{% if add_generation_prompt %}{{ '` + turnStart + `assistant
' }}{% endif %}`

// prompted is how much a token that the model need not say counts.
const prompted = 0.05

// tokenizer writes documents as tokens.
type tokenizer struct{ *vocab.Vocabulary }

// learnTokens makes the vocabulary out of a sample of documents.
func learnTokens(seed uint64, documents int) tokenizer {
	g := corpus.New(seed)
	var texts []string
	for range documents {
		d := g.Next(4)
		texts = append(texts, d.Plain)
		for _, m := range d.Messages {
			texts = append(texts, string(m.Role)+"\n", m.Content)
		}
	}
	return tokenizer{vocab.Learn(texts, startToken)}
}

// sample is a document as tokens, with how much each counts as a target.
type sample struct {
	tokens []int32
	weight []float32
}

func (s *sample) add(weight float32, tokens ...int32) {
	for _, t := range tokens {
		s.tokens = append(s.tokens, t)
		s.weight = append(s.weight, weight)
	}
}

// write turns a document into a sample. The model learns what the assistant
// says and where it ends.
func (t tokenizer) write(d corpus.Document) sample {
	var s sample
	if d.Messages == nil {
		s.add(1, t.Encode(d.Plain)...)
		s.add(1, stopToken)
		return s
	}
	for _, m := range d.Messages {
		weight := float32(prompted)
		if m.Role == engine.Assistant {
			weight = 1
		}
		s.add(0, startToken)
		s.add(0, t.Encode(string(m.Role)+"\n")...)
		s.add(weight, t.Encode(m.Content)...)
		s.add(weight, endToken)
		s.add(0, t.Encode("\n")...)
	}
	return s
}

// prompt writes a conversation ready for the assistant's turn.
func (t tokenizer) prompt(messages []engine.Message) []int32 {
	s := t.write(corpus.Document{Messages: messages})
	return append(append(s.tokens, startToken), t.Encode(string(engine.Assistant)+"\n")...)
}

// A feed packs documents into batches. Documents that lie in one row do not
// see each other.
type feed struct {
	source *corpus.Generator
	tokens tokenizer
	turns  int // exchanges of a long conversation
	shelf  []sample
}

// shelved is how many documents wait for a row that they fit.
const shelved = 64

// next makes a batch of rows of length tokens. A document longer than a row
// is cut.
func (f *feed) next(rows, length int) train.Batch {
	n := rows * length
	b := train.Batch{
		Rows: rows, Length: length,
		Tokens: make([]int32, n), Next: make([]int32, n), Weight: make([]float32, n), Start: make([]int32, n),
	}
	for r := range rows {
		at := 0
		for at < length {
			s, ok := f.fitting(length-at, at == 0)
			if !ok {
				break
			}
			f.put(&b, r*length, at, s)
			at += len(s.tokens)
		}
		for ; at < length; at++ {
			b.Tokens[r*length+at], b.Next[r*length+at], b.Start[r*length+at] = stopToken, stopToken, int32(at)
		}
	}
	return b
}

// fitting takes a document of at most room tokens off the shelf, or cuts one
// when it has to.
func (f *feed) fitting(room int, must bool) (sample, bool) {
	for len(f.shelf) < shelved {
		f.shelf = append(f.shelf, f.tokens.write(f.source.Next(f.turns)))
	}
	for i, s := range f.shelf {
		if len(s.tokens) <= room {
			f.shelf = append(f.shelf[:i], f.shelf[i+1:]...)
			return s, true
		}
	}
	if !must {
		return sample{}, false
	}
	s := f.shelf[0]
	f.shelf = f.shelf[1:]
	return sample{s.tokens[:room], s.weight[:room]}, true
}

// put lays a document at a place of a row that begins at offset.
func (f *feed) put(b *train.Batch, offset, at int, s sample) {
	for i, t := range s.tokens {
		j := offset + at + i
		b.Tokens[j], b.Start[j], b.Next[j] = t, int32(at), stopToken
		if i+1 < len(s.tokens) {
			b.Next[j], b.Weight[j] = s.tokens[i+1], s.weight[i+1]
		}
	}
}

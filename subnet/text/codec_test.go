package text

import (
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/plexus-network/plexus/engine"
)

var goodRequests = []Request{
	{Prompt: "Hello"},
	{Tokens: []engine.Token{0, 1, math.MaxInt32}, MaxTokens: 5},
	{
		Messages:  []engine.Message{{Role: engine.System, Content: "Be kind."}, {Role: engine.User, Content: "Grüß Gott"}},
		MaxTokens: 100, Stop: []string{"\n", "END"}, Temperature: 0.7, TopP: 0.9, MinP: 0.05, TopK: 40,
		UserSeed: []byte{1, 2}, TopCount: 20,
	},
}

func TestRequestRoundTrip(t *testing.T) {
	for _, want := range goodRequests {
		b, err := want.Encode()
		if err != nil {
			t.Fatalf("Encode(%+v): %v", want, err)
		}
		got, err := DecodeRequest(b)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("request = %+v, %v; want %+v", got, err, want)
		}
	}
}

func TestRequestBounds(t *testing.T) {
	nan := float32(math.NaN())
	user := []engine.Message{{Role: engine.User, Content: "a"}}
	for name, r := range map[string]Request{
		"no prompt":        {},
		"two prompts":      {Prompt: "a", Messages: user},
		"unknown role":     {Messages: []engine.Message{{Role: "root", Content: "a"}}},
		"not UTF-8":        {Prompt: "\xff"},
		"message no UTF-8": {Messages: []engine.Message{{Role: engine.User, Content: "\xff"}}},
		"many messages":    {Messages: make([]engine.Message, maxMessages+1)},
		"many tokens":      {Tokens: make([]engine.Token, maxTokens+1)},
		"negative token":   {Tokens: []engine.Token{-1}},
		"hot":              {Prompt: "a", Temperature: 2.1},
		"cold":             {Prompt: "a", Temperature: -1},
		"NaN":              {Prompt: "a", Temperature: nan},
		"top p":            {Prompt: "a", TopP: 1.1},
		"min p":            {Prompt: "a", MinP: nan},
		"top k":            {Prompt: "a", TopK: -1},
		"top count":        {Prompt: "a", TopCount: 21},
		"max tokens":       {Prompt: "a", MaxTokens: -1},
		"too many tokens":  {Prompt: "a", MaxTokens: maxTokens + 1},
		"empty stop":       {Prompt: "a", Stop: []string{""}},
		"long stop":        {Prompt: "a", Stop: []string{strings.Repeat("a", 257)}},
		"many stops":       {Prompt: "a", Stop: make([]string, 17)},
		"long seed":        {Prompt: "a", UserSeed: make([]byte, 65)},
		"too large":        {Prompt: strings.Repeat("a", maxRequest)},
	} {
		if b, err := r.Encode(); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: encoded to %d bytes, error %v; want ErrMalformed", name, len(b), err)
		}
	}
}

var goodChunks = []Chunk{
	{Text: "He", Tokens: []engine.TokenScore{{Token: 5, LogProb: -0.5, Top: []engine.Candidate{{Token: 5, LogProb: -0.5}, {Token: 0, LogProb: -2}}}}},
	{Tokens: []engine.TokenScore{{Token: 0}}},
	{Text: "llo", Finish: engine.FinishStop, Usage: engine.Usage{Prompt: 3, Cached: 1, Completion: 2, Finish: engine.FinishStop}},
}

func TestChunksRoundTrip(t *testing.T) {
	var body []byte
	for _, c := range goodChunks {
		body = append(body, must(c.Encode())...)
	}
	got, err := DecodeChunks(body)
	if err != nil || !reflect.DeepEqual(got, goodChunks) {
		t.Errorf("chunks = %+v, %v; want %+v", got, err, goodChunks)
	}
	if _, err := DecodeChunks(append(body, body...)); !errors.Is(err, ErrMalformed) {
		t.Errorf("chunks after the last: error = %v", err)
	}
	if _, err := DecodeChunks(body[:len(body)-1]); !errors.Is(err, ErrMalformed) {
		t.Errorf("a cut chunk: error = %v", err)
	}
	if got, err := DecodeChunks(nil); err != nil || len(got) != 0 {
		t.Errorf("no bytes: %v, %v", got, err)
	}
}

func TestChunkBounds(t *testing.T) {
	inf := float32(math.Inf(-1))
	for name, c := range map[string]Chunk{
		"positive":    {Tokens: []engine.TokenScore{{LogProb: 0.1}}},
		"infinite":    {Tokens: []engine.TokenScore{{LogProb: inf}}},
		"NaN":         {Tokens: []engine.TokenScore{{Top: []engine.Candidate{{LogProb: float32(math.NaN())}}}}},
		"negative id": {Tokens: []engine.TokenScore{{Token: -1}}},
		"many top":    {Tokens: []engine.TokenScore{{Top: make([]engine.Candidate, engine.MaxTop+1)}}},
		"not UTF-8":   {Text: "\xff"},
		"bad finish":  {Finish: "tired"},
		"too large":   {Text: strings.Repeat("a", maxChunk)},
		"bad usage":   {Finish: engine.FinishStop, Usage: engine.Usage{Prompt: -1}},
	} {
		b, err := c.Encode()
		if err == nil {
			_, err = DecodeChunks(b)
		}
		if !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: error = %v, want ErrMalformed", name, err)
		}
	}
}

func FuzzDecodeRequest(f *testing.F) {
	for _, r := range goodRequests {
		f.Add(must(r.Encode()))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := DecodeRequest(b)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatalf("error = %v, want ErrMalformed", err)
			}
			return
		}
		again, err := r.Encode()
		if err != nil {
			t.Fatalf("decoded request %+v does not encode: %v", r, err)
		}
		if back, err := DecodeRequest(again); err != nil || !reflect.DeepEqual(back, r) {
			t.Fatalf("request %+v comes back as %+v, %v", r, back, err)
		}
	})
}

func FuzzDecodeChunks(f *testing.F) {
	var body []byte
	for _, c := range goodChunks {
		body = append(body, must(c.Encode())...)
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		chunks, err := DecodeChunks(b)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatalf("error = %v, want ErrMalformed", err)
			}
			return
		}
		var again []byte
		for _, c := range chunks {
			again = append(again, must(c.Encode())...)
		}
		if back, err := DecodeChunks(again); err != nil || !reflect.DeepEqual(back, chunks) {
			t.Fatalf("chunks %+v come back as %+v, %v", chunks, back, err)
		}
	})
}

package gateway

import (
	"strings"

	"github.com/plexus-network/plexus/engine"
	"github.com/plexus-network/plexus/engine/grammar"
)

// A toolCall is a call out of an answer, as every dialect needs it.
type toolCall struct {
	ID        string // made here, like "call_…"; the model gives none
	Name      string
	Arguments string // a JSON object; cut off where the answer was
}

// toolCalls splits an answer to p into what it says and what it calls. Where p
// offers no tools all is text.
func (p *prompt) toolCalls(answer string) (content string, calls []toolCall) {
	if len(p.ask.Constraint.Tools) == 0 {
		return answer, nil
	}
	var r callReader
	content, fragments := r.add(answer, true)
	return content, joined(nil, fragments)
}

// joined adds fragments to the calls that they belong to.
func joined(calls []toolCall, fragments []callFragment) []toolCall {
	for _, f := range fragments {
		if f.Index == len(calls) {
			calls = append(calls, toolCall{ID: f.ID, Name: f.Name})
		}
		calls[f.Index].Arguments += f.Arguments
	}
	return calls
}

// A callFragment is a part of a call: the first of a call has ID and Name.
type callFragment struct {
	Index     int
	ID, Name  string
	Arguments string // what comes next of them
}

// A callReader splits an answer into text and calls as it is made. The zero
// callReader is ready.
type callReader struct {
	state  readerState
	held   string // what cannot be told yet
	calls  int    // begun so far
	depth  int    // of brackets open in the arguments
	quoted bool   // inside a string of the arguments
	escape bool   // after a backslash there
}

// readerState is what comes next: text, the head of a call up to its arguments,
// the arguments, or the call's end.
type readerState uint8

const (
	inText readerState = iota
	inHead
	inArguments
	inTail
)

// add takes the next piece of the answer and returns the text and the
// fragments that it makes certain; last flushes what was held back. A call
// without a whole name is dropped.
func (r *callReader) add(piece string, last bool) (content string, fragments []callFragment) {
	r.held += piece
	var text strings.Builder
	for progress := true; progress; {
		switch r.state {
		case inText:
			progress = r.text(&text, last)
		case inHead:
			progress = r.head(&fragments)
		case inArguments:
			progress = r.arguments(&fragments)
		case inTail:
			progress = r.tail()
		}
	}
	return text.String(), fragments
}

// text moves plain text out, up to a call. After a call only the space between
// calls is left, which nobody reads.
func (r *callReader) text(out *strings.Builder, last bool) bool {
	before, after, found := strings.Cut(r.held, grammar.CallBegin)
	if !found {
		keep := 0
		for n := min(len(grammar.CallBegin)-1, len(r.held)); n > 0 && !last; n-- {
			if strings.HasSuffix(r.held, grammar.CallBegin[:n]) {
				keep = n
				break
			}
		}
		before, after = r.held[:len(r.held)-keep], r.held[len(r.held)-keep:]
	}
	if r.calls == 0 {
		out.WriteString(before)
	}
	r.held = after
	if found {
		r.state = inHead
	}
	return found
}

// head reads {"name": "x", "arguments": once it is whole.
func (r *callReader) head(out *[]callFragment) bool {
	name, rest, ok := grammar.CallHead(r.held)
	if !ok {
		return false
	}
	*out = append(*out, callFragment{Index: r.calls, ID: "call_" + newID(), Name: name})
	r.calls++
	r.held, r.state = rest, inArguments
	r.depth, r.quoted, r.escape = 0, false, false
	return true
}

// arguments passes on the JSON object that follows, to its closing bracket.
func (r *callReader) arguments(out *[]callFragment) bool {
	n := 0
	for n < len(r.held) && r.state == inArguments {
		r.scan(r.held[n])
		n++
	}
	if n > 0 {
		f := callFragment{Index: r.calls - 1, Arguments: r.held[:n]}
		if k := len(*out) - 1; k >= 0 && (*out)[k].Index == f.Index {
			(*out)[k].Arguments += f.Arguments
		} else {
			*out = append(*out, f)
		}
	}
	r.held = r.held[n:]
	return r.state == inTail
}

func (r *callReader) scan(c byte) {
	switch {
	case r.escape:
		r.escape = false
	case r.quoted:
		r.escape, r.quoted = c == '\\', c != '"'
	case c == '"':
		r.quoted = true
	case c == '{' || c == '[':
		r.depth++
	case c == '}' || c == ']':
		if r.depth--; r.depth <= 0 {
			r.state = inTail
		}
	}
}

// tail drops what ends a call.
func (r *callReader) tail() bool {
	_, after, found := strings.Cut(r.held, grammar.CallEnd)
	if found {
		r.held, r.state = after, inText
	}
	return found
}

// wireCall is a call as /v1/chat/completions writes it. Index is in streams
// alone, and so are parts of the rest.
type wireCall struct {
	Index    *int         `json:"index,omitempty"`
	ID       string       `json:"id,omitempty"`
	Type     string       `json:"type,omitempty"`
	Function wireFunction `json:"function"`
}

type wireFunction struct {
	Name      string `json:"name,omitempty"`
	Arguments string `json:"arguments"`
}

func wireCalls(calls []toolCall) []wireCall {
	var out []wireCall
	for _, c := range calls {
		out = append(out, wireCall{ID: c.ID, Type: "function", Function: wireFunction{c.Name, c.Arguments}})
	}
	return out
}

func wireFragments(fragments []callFragment) []wireCall {
	var out []wireCall
	for _, f := range fragments {
		w := wireCall{Index: &f.Index, ID: f.ID, Function: wireFunction{f.Name, f.Arguments}}
		if f.ID != "" {
			w.Type = "function"
		}
		out = append(out, w)
	}
	return out
}

// message is a whole answer as /v1/chat/completions words it.
func (p *prompt) message(answer string) *chatWhole {
	content, calls := p.toolCalls(answer)
	m := &chatWhole{Role: "assistant", Content: &content, ToolCalls: wireCalls(calls)}
	if content == "" && len(calls) > 0 {
		m.Content = nil
	}
	return m
}

// delta is a piece of an answer as a stream words it.
func (p *prompt) delta(r *callReader, a piece) *chatText {
	said := a.text
	d := &chatText{}
	if len(p.ask.Constraint.Tools) > 0 {
		var fragments []callFragment
		said, fragments = r.add(a.text, a.finish != "")
		d.ToolCalls = wireFragments(fragments)
	}
	if said != "" {
		d.Content = &said
	}
	return d
}

// finishOf is an answer's finish_reason: one that ends with calls of tools says
// so.
func finishOf(f engine.Finish, calls int) *string {
	if f == engine.FinishStop && calls > 0 {
		f = "tool_calls"
	}
	return optional(string(f))
}

package remote

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/plexus-network/plexus/engine"
	"github.com/plexus-network/plexus/engine/grammar"
)

// bind writes a constraint as the API does. What no engine would take is
// refused here, so that all servers refuse alike.
func (e *Engine) bind(b *body, r engine.ChatRequest) error {
	c := r.Constraint
	if c.IsZero() {
		return nil
	}
	if _, err := grammar.Compile(c); err != nil {
		return err
	}
	switch {
	case len(c.Tools) > 0 && len(r.Messages) == 0:
		return fmt.Errorf("%w: the server calls tools in a conversation only, not after a prompt", engine.ErrUnsupported)
	case r.Made > 0:
		return fmt.Errorf("%w: the server cannot go on with an answer under a constraint", engine.ErrUnsupported)
	}
	b.ResponseFormat = responseFormat(c)
	if len(c.Tools) == 0 {
		return nil
	}
	var err error
	if b.Tools, err = engine.MarshalTools(c.Tools); err != nil {
		return fmt.Errorf("%w: %w", engine.ErrRequest, err)
	}
	b.ToolChoice = toolChoice(c)
	if c.Single {
		b.ParallelCalls = new(bool)
	}
	return nil
}

func responseFormat(c engine.Constraint) any {
	switch c.Form {
	case engine.JSONObject:
		return map[string]any{"type": "json_object"}
	case engine.JSONSchema:
		return map[string]any{"type": "json_schema", "json_schema": map[string]any{
			"name": "answer", "strict": true, "schema": json.RawMessage(c.Schema),
		}}
	default:
		return nil
	}
}

func toolChoice(c engine.Constraint) any {
	switch {
	case c.Only != "":
		return map[string]any{"type": "function", "function": map[string]string{"name": c.Only}}
	case c.Choice == engine.ToolsRequired:
		return "required"
	default:
		return "auto"
	}
}

// callDelta is a piece of a call in a stream.
type callDelta struct {
	Index    int
	Function calledFunction
}

type calledFunction struct{ Name, Arguments string }

// calls turns the calls of a stream into text.
type calls struct {
	begun bool
	index int
	empty bool // the call that is open has no arguments yet
}

// add returns the text of what came next.
func (c *calls) add(list []callDelta) string {
	var b strings.Builder
	for _, d := range list {
		if !c.begun || d.Index != c.index {
			b.WriteString(c.end())
			head, _ := strings.CutSuffix(grammar.WriteCall(engine.ToolCall{Name: d.Function.Name, Arguments: "{}"}), "{}}"+grammar.CallEnd)
			b.WriteString(head)
			c.begun, c.index, c.empty = true, d.Index, true
		}
		b.WriteString(d.Function.Arguments)
		c.empty = c.empty && d.Function.Arguments == ""
	}
	return b.String()
}

// end closes the call that is open, if any.
func (c *calls) end() string {
	if !c.begun {
		return ""
	}
	c.begun = false
	if c.empty {
		return "{}}" + grammar.CallEnd
	}
	return "}" + grammar.CallEnd
}

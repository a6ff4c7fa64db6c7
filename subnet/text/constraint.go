package text

import (
	"errors"
	"fmt"
	"unicode/utf8"

	textv1 "github.com/plexus-network/plexus/api/plexus/text/v1"
	"github.com/plexus-network/plexus/engine"
	"github.com/plexus-network/plexus/engine/grammar"
)

// maxCalls bounds the calls of one message.
const maxCalls = 64

func encodeConstraint(m *textv1.Request, c engine.Constraint) {
	switch c.Form {
	case engine.JSONObject:
		m.Answer = textv1.Answer_ANSWER_OBJECT
	case engine.JSONSchema:
		m.Answer = textv1.Answer_ANSWER_SCHEMA
	case engine.FreeText:
	}
	if c.Choice == engine.ToolsRequired {
		m.ToolChoice = textv1.ToolChoice_TOOL_CHOICE_REQUIRED
	}
	m.Schema, m.Only, m.Single = c.Schema, c.Only, c.Single
	for _, t := range c.Tools {
		m.Tools = append(m.Tools, textv1.Tool{Name: t.Name, Description: t.Description, Parameters: t.Parameters})
	}
}

func decodeConstraint(m *textv1.Request) (engine.Constraint, error) {
	c := engine.Constraint{Schema: m.Schema, Only: m.Only, Single: m.Single}
	switch m.Answer {
	case textv1.Answer_ANSWER_UNSPECIFIED:
	case textv1.Answer_ANSWER_OBJECT:
		c.Form = engine.JSONObject
	case textv1.Answer_ANSWER_SCHEMA:
		c.Form = engine.JSONSchema
	default:
		return c, fmt.Errorf("unknown form %d of the answer", m.Answer)
	}
	switch m.ToolChoice {
	case textv1.ToolChoice_TOOL_CHOICE_UNSPECIFIED:
	case textv1.ToolChoice_TOOL_CHOICE_REQUIRED:
		c.Choice = engine.ToolsRequired
	default:
		return c, fmt.Errorf("unknown tool choice %d", m.ToolChoice)
	}
	if len(m.Tools) > engine.MaxTools {
		return c, fmt.Errorf("%d tools, at most %d are allowed", len(m.Tools), engine.MaxTools)
	}
	for _, t := range m.Tools {
		c.Tools = append(c.Tools, engine.Tool{Name: t.Name, Description: t.Description, Parameters: t.Parameters})
	}
	return c, nil
}

func encodeMessage(t engine.Message) textv1.Message {
	m := textv1.Message{Role: string(t.Role), Content: t.Content, ToolCallId: t.ToolCallID}
	for _, c := range t.ToolCalls {
		m.ToolCalls = append(m.ToolCalls, textv1.ToolCall{Id: c.ID, Name: c.Name, Arguments: c.Arguments})
	}
	return m
}

func decodeMessage(t textv1.Message) engine.Message {
	m := engine.Message{Role: engine.Role(t.Role), Content: t.Content, ToolCallID: t.ToolCallId}
	for _, c := range t.ToolCalls {
		m.ToolCalls = append(m.ToolCalls, engine.ToolCall{ID: c.Id, Name: c.Name, Arguments: c.Arguments})
	}
	return m
}

// checkMessage says what is wrong with one turn; "message 3" goes before it.
func checkMessage(m engine.Message) error {
	switch m.Role {
	case engine.System, engine.User, engine.Assistant, engine.ToolResult:
	default:
		return fmt.Errorf("has the role %.20q, use system, user, assistant or tool", m.Role)
	}
	switch {
	case !utf8.ValidString(m.Content) || !utf8.ValidString(m.ToolCallID):
		return errors.New("is not UTF-8")
	case len(m.ToolCalls) > 0 && m.Role != engine.Assistant:
		return fmt.Errorf("has tool calls and the role %q, only an assistant calls", m.Role)
	case len(m.ToolCalls) > maxCalls:
		return fmt.Errorf("has %d tool calls, at most %d are allowed", len(m.ToolCalls), maxCalls)
	}
	for i, c := range m.ToolCalls {
		if c.Name == "" || !utf8.ValidString(c.ID) || !utf8.ValidString(c.Name) || !utf8.ValidString(c.Arguments) {
			return fmt.Errorf("has a tool call %d without a name or not in UTF-8", i)
		}
	}
	return nil
}

// checkConstraint leaves the schemas to whoever compiles them.
func (r Request) checkConstraint() error {
	c := r.Constraint
	if c.Within != 0 {
		return fmt.Errorf("the constraint's limit is %d tokens, leave it 0: max tokens is the limit", c.Within)
	}
	return c.Check()
}

// alternatives is how many alternatives each token of a reply has at least. A
// constraint may leave a single one.
func (f form) alternatives() int {
	if !f.constraint.IsZero() {
		return 1
	}
	return min(f.evidence, max(f.engine.Model().Vocabulary, 1))
}

// grammar compiles a request's constraint; nil binds nothing.
func (r Request) grammar() (*grammar.Grammar, error) {
	if r.Constraint.IsZero() {
		return nil, nil //nolint:nilnil // nothing is bound
	}
	return grammar.Compile(r.Constraint)
}

// unbound says in words where a reply breaks its constraint, or "". It needs no
// model, so it costs the checker next to nothing.
func (f form) unbound(r reply) string {
	pieces, ok := f.engine.(interface{ Piece(engine.Token) string })
	if f.grammar == nil || !ok {
		return "" // without pieces the replay finds it
	}
	bound := grammar.NewMachine(f.grammar, nil).Begin(0)
	for _, t := range f.made {
		bound.Take(pieces.Piece(t), f.engine.Ends(t))
	}
	for i, t := range r.tokens {
		if !bound.Take(pieces.Piece(t.Token), f.engine.Ends(t.Token)) {
			return fmt.Sprintf("token %d is not what the request's schema or tools allow", i)
		}
	}
	return ""
}

package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"unicode/utf8"
)

// Tool is a function of the asker's that a model may call.
type Tool struct {
	Name        string          `json:"name"` // 1 to 64 letters, digits, _ and -
	Description string          `json:"description,omitempty"`
	Parameters  json.RawMessage `json:"parameters,omitempty"` // a JSON Schema of an object; nil means no arguments
}

// ToolCall is a call that a model made: in an answer, or in the conversation.
type ToolCall struct {
	ID        string // ties the result to the call; the model does not see it
	Name      string
	Arguments string // a JSON object, as the model wrote it
}

// function is a ToolCall or a Tool as the OpenAI API writes it.
type function[T any] struct {
	ID       string `json:"id,omitempty"`
	Type     string `json:"type"`
	Function T      `json:"function"`
}

type calledFunction struct {
	Name      string `json:"name"`
	Arguments string `json:"arguments"`
}

// MarshalJSON writes the call as the OpenAI API does.
func (c ToolCall) MarshalJSON() ([]byte, error) {
	return json.Marshal(function[calledFunction]{c.ID, "function", calledFunction{c.Name, c.Arguments}})
}

// UnmarshalJSON reads what MarshalJSON writes.
func (c *ToolCall) UnmarshalJSON(b []byte) error {
	var f function[calledFunction]
	if err := json.Unmarshal(b, &f); err != nil {
		return err
	}
	*c = ToolCall{f.ID, f.Function.Name, f.Function.Arguments}
	return nil
}

// MarshalTools writes tools as a JSON list in the form of the OpenAI API, which
// is what chat templates expect.
func MarshalTools(tools []Tool) ([]byte, error) {
	list := make([]function[Tool], len(tools))
	for i, t := range tools {
		list[i] = function[Tool]{Type: "function", Function: t}
	}
	return json.Marshal(list)
}

// AnswerForm says what the text of an answer must be.
type AnswerForm string

// The forms of an answer. The zero AnswerForm is free text.
const (
	FreeText   AnswerForm = ""
	JSONObject AnswerForm = "json_object" // any JSON object
	JSONSchema AnswerForm = "json_schema" // JSON that Constraint.Schema describes
)

// ToolChoice says whether an answer may, or must, call tools.
type ToolChoice string

// The choices. The zero ToolChoice leaves it to the model.
const (
	ToolsAuto     ToolChoice = ""
	ToolsRequired ToolChoice = "required"
)

// Constraint binds what an answer may say. At every token an engine forgets
// what the constraint forbids before it looks for the likeliest candidates, so
// that S1 picks among what is allowed; log-probabilities stay those that the
// model gives without the constraint. Because it is given as the request has
// it, whoever checks an answer derives the same candidates. engine/grammar says
// what schemas are understood, and how an answer writes its calls. The zero
// Constraint binds nothing.
type Constraint struct {
	Form   AnswerForm `json:"form,omitempty"`
	Schema []byte     `json:"schema,omitempty"` // a JSON Schema, of form JSONSchema

	Tools  []Tool     `json:"tools,omitempty"` // those that may be called; they also go into the prompt
	Choice ToolChoice `json:"choice,omitempty"`
	Only   string     `json:"only,omitempty"`   // the one tool that must be called; "" means any
	Single bool       `json:"single,omitempty"` // at most one call

	// Within is in how many tokens the answer must be whole, ChatRequest.MaxTokens
	// as a rule: candidates that leave no room to close what is open are
	// forbidden too. It counts a token per byte, so every model can keep to it.
	// 0, or less than the shortest answer takes, means that an answer that is
	// cut short stays cut.
	Within int `json:"within,omitempty"`
}

// IsZero tells whether c binds nothing.
func (c Constraint) IsZero() bool { return c.Form == FreeText && len(c.Tools) == 0 }

// Size is the bytes of its schemas and of what it says of tools.
func (c Constraint) Size() int {
	size := len(c.Schema)
	for _, t := range c.Tools {
		size += len(t.Name) + len(t.Description) + len(t.Parameters)
	}
	return size
}

// Bounds of a constraint.
const (
	MaxTools      = 128
	maxToolName   = 64
	maxConstraint = 256 << 10 // bytes of the schemas and descriptions together
)

// Check returns an error that wraps ErrRequest where c breaks a rule that needs
// no look at the schemas.
func (c Constraint) Check() error {
	switch {
	case c.Form != FreeText && c.Form != JSONObject && c.Form != JSONSchema:
		return fmt.Errorf("%w: the answer's form is %.40q, want %q or %q", ErrRequest, c.Form, JSONObject, JSONSchema)
	case (c.Form == JSONSchema) != (len(c.Schema) > 0):
		return fmt.Errorf("%w: a schema of %d bytes for the form %q; %q and no other needs one", ErrRequest, len(c.Schema), c.Form, JSONSchema)
	case c.Choice != ToolsAuto && c.Choice != ToolsRequired:
		return fmt.Errorf("%w: the tool choice is %.40q, want nothing or %q", ErrRequest, c.Choice, ToolsRequired)
	case len(c.Tools) == 0 && (c.Choice != ToolsAuto || c.Only != "" || c.Single):
		return fmt.Errorf("%w: a choice of tools without tools", ErrRequest)
	case len(c.Tools) > MaxTools:
		return fmt.Errorf("%w: %d tools, the most is %d", ErrRequest, len(c.Tools), MaxTools)
	case c.Within < 0:
		return fmt.Errorf("%w: the answer must be whole within %d tokens, want 0 or more", ErrRequest, c.Within)
	}
	names := make(map[string]bool, len(c.Tools))
	for i, t := range c.Tools {
		if err := t.check(); err != nil {
			return fmt.Errorf("%w: tool %d: %w", ErrRequest, i, err)
		}
		if names[t.Name] {
			return fmt.Errorf("%w: two tools are named %q", ErrRequest, t.Name)
		}
		names[t.Name] = true
	}
	if c.Only != "" && !names[c.Only] {
		return fmt.Errorf("%w: the tool %.80q must be called and is not among the tools", ErrRequest, c.Only)
	}
	if size := c.Size(); size > maxConstraint {
		return fmt.Errorf("%w: schemas and descriptions of %d bytes, the most is %d", ErrRequest, size, maxConstraint)
	}
	return nil
}

func (t Tool) check() error {
	if t.Name == "" || len(t.Name) > maxToolName {
		return fmt.Errorf("its name has %d bytes, want 1 to %d", len(t.Name), maxToolName)
	}
	for _, r := range t.Name {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '_', r == '-':
		default:
			return fmt.Errorf("its name %.80q has %q, want letters, digits, _ and -", t.Name, r)
		}
	}
	if !utf8.ValidString(t.Description) {
		return fmt.Errorf("the description of %s is not UTF-8", t.Name)
	}
	if len(t.Parameters) > 0 && !json.Valid(t.Parameters) {
		return fmt.Errorf("the parameters of %s are not JSON", t.Name)
	}
	return nil
}

// A BoundScorer is an engine that scores answers which a constraint bound. All
// that are a Checker are one too.
type BoundScorer interface {
	// ScoreBound is Text.Score where c bound the answer of which the first
	// made tokens are the last of prompt: alternatives are the likeliest among
	// the tokens that c allows, and a token that it forbids ends them: from
	// there on there are none.
	ScoreBound(ctx context.Context, prompt, continuation []Token, c Constraint, made int) ([]TokenScore, error)
}

// Score scores continuation as it follows prompt, under a constraint that may
// be zero; of the prompt's last tokens made are the answer's. It returns
// ErrUnsupported where e cannot.
func Score(ctx context.Context, e Text, prompt, continuation []Token, c Constraint, made int) ([]TokenScore, error) {
	if c.IsZero() {
		return e.Score(ctx, prompt, continuation)
	}
	b, ok := e.(BoundScorer)
	if !ok {
		return nil, fmt.Errorf("%w: scores under a constraint", ErrUnsupported)
	}
	return b.ScoreBound(ctx, prompt, continuation, c, made)
}

// A ToolRenderer is a Tokenizer that puts tools into the prompt as the model's
// chat template wants them.
type ToolRenderer interface {
	RenderTools(messages []Message, tools []Tool) ([]Token, error)
}

package gateway

import (
	"encoding/json"
	"errors"
	"strconv"

	"github.com/plexus-network/plexus/engine"
	"github.com/plexus-network/plexus/engine/grammar"
)

// bindings are the request fields that bind what an answer may be.
type bindings struct {
	ResponseFormat    json.RawMessage `json:"response_format"`
	Tools             json.RawMessage `json:"tools"`
	ToolChoice        json.RawMessage `json:"tool_choice"`
	ParallelToolCalls json.RawMessage `json:"parallel_tool_calls"`
}

// bind takes in what the user binds the answer to.
func (p *prompt) bind(b bindings) *problem {
	c := &p.ask.Constraint
	if bad := readFormat(orNull(b.ResponseFormat), c); bad != nil {
		return bad
	}
	if bad := readTools(orNull(b.Tools), c); bad != nil {
		return bad
	}
	if bad := readToolChoice(orNull(b.ToolChoice), c); bad != nil {
		return bad
	}
	switch string(orNull(b.ParallelToolCalls)) {
	case "null", "true":
	case "false":
		c.Single = len(c.Tools) > 0
	default:
		return invalid("parallel_tool_calls", "parallel_tool_calls is %.40q; true or false is wanted", string(b.ParallelToolCalls))
	}
	return checkBinding(*c)
}

// checkBinding compiles a constraint, so that what no miner could hold an answer
// to is refused before any is asked. Dialects with other names for the fields
// change the param of what it returns.
func checkBinding(c engine.Constraint) *problem {
	if c.IsZero() {
		return nil
	}
	_, err := grammar.Compile(c)
	if err == nil {
		return nil
	}
	var schema *grammar.SchemaError
	if !errors.As(err, &schema) {
		return invalid("tools", "the tools cannot be offered: %v", err)
	}
	if schema.Tool == "" {
		bad := invalid("response_format.json_schema.schema", "an answer cannot be held to %v", schema)
		bad.code = "invalid_json_schema"
		return bad
	}
	param := "tools"
	for i, t := range c.Tools {
		if t.Name == schema.Tool {
			param = indexed("tools", i, "function.parameters")
		}
	}
	bad := invalid(param, "a call cannot be held to %v", schema)
	bad.code = "invalid_function_parameters"
	return bad
}

// readFormat reads response_format.
func readFormat(raw json.RawMessage, c *engine.Constraint) *problem {
	var in struct {
		Type   string `json:"type"`
		Schema *struct {
			Name   string          `json:"name"`
			Schema json.RawMessage `json:"schema"`
		} `json:"json_schema"`
	}
	if string(raw) == "null" {
		return nil
	}
	if err := json.Unmarshal(raw, &in); err != nil {
		return invalid("response_format", `response_format cannot be read: %v; {"type":"json_object"} is one`, err)
	}
	switch in.Type {
	case "text":
	case "json_object":
		c.Form = engine.JSONObject
	case "json_schema":
		if in.Schema == nil || in.Schema.Name == "" {
			return invalid("response_format.json_schema", "response_format.json_schema needs a name and a schema")
		}
		if c.Form = engine.JSONSchema; string(orNull(in.Schema.Schema)) == "null" {
			c.Form = engine.JSONObject // no schema leaves any object
			return nil
		}
		c.Schema = in.Schema.Schema
	default:
		return invalid("response_format.type", "response_format.type is %.40q; text, json_object and json_schema are known", in.Type)
	}
	return nil
}

// readTools reads tools.
func readTools(raw json.RawMessage, c *engine.Constraint) *problem {
	var list []struct {
		Type     string      `json:"type"`
		Function engine.Tool `json:"function"`
	}
	if err := json.Unmarshal(raw, &list); err != nil {
		return invalid("tools", "tools cannot be read: %v; a list of functions is wanted", err)
	}
	if len(list) > engine.MaxTools {
		return invalid("tools", "tools has %d functions; at most %d are allowed", len(list), engine.MaxTools)
	}
	for i, t := range list {
		if t.Type != "function" {
			return unsupported(indexed("tools", i, "type"), "a tool of type %.40q cannot be offered; only functions can", t.Type)
		}
		if string(t.Function.Parameters) == "null" {
			t.Function.Parameters = nil
		}
		one := engine.Constraint{Tools: []engine.Tool{t.Function}}
		if err := one.Check(); err != nil {
			return invalid(indexed("tools", i, "function"), "tool %d cannot be offered: %v", i, err)
		}
		c.Tools = append(c.Tools, t.Function)
	}
	return nil
}

// readToolChoice reads tool_choice, after tools.
func readToolChoice(raw json.RawMessage, c *engine.Constraint) *problem {
	const param = "tool_choice"
	var word string
	var named struct {
		Type     string                `json:"type"`
		Function struct{ Name string } `json:"function"`
	}
	if json.Unmarshal(raw, &word) != nil {
		if err := json.Unmarshal(raw, &named); err != nil || named.Type != "function" || named.Function.Name == "" {
			return unsupported(param, `tool_choice cannot be honoured; none, auto, required and {"type":"function","function":{"name":…}} can`)
		}
		word = "required"
	}
	switch word {
	case "", "auto": // null reads as ""
		return nil
	case "none":
		c.Tools = nil
		return nil
	case "required":
	default:
		return invalid(param, "tool_choice is %.40q; none, auto, required and a function are known", word)
	}
	if len(c.Tools) == 0 {
		return invalid(param, "tool_choice demands a call and there are no tools")
	}
	if named.Type == "" {
		c.Choice = engine.ToolsRequired
		return nil
	}
	for _, t := range c.Tools {
		if t.Name == named.Function.Name {
			c.Only, c.Single = t.Name, true
			return nil
		}
	}
	return invalid(param, "tool_choice names %.80s, which is not among the %d tools", strconv.Quote(named.Function.Name), len(c.Tools))
}

// messageCalls reads the calls of an assistant's message.
func messageCalls(raw json.RawMessage, at string) ([]engine.ToolCall, *problem) {
	var list []struct {
		ID       string `json:"id"`
		Type     string `json:"type"`
		Function struct {
			Name      string `json:"name"`
			Arguments string `json:"arguments"`
		} `json:"function"`
	}
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, invalid(at, "%s cannot be read: %v; a list of calls is wanted", at, err)
	}
	const most = 64
	if len(list) > most {
		return nil, invalid(at, "%s has %d calls; at most %d are allowed", at, len(list), most)
	}
	var out []engine.ToolCall
	for i, c := range list {
		if c.Type != "function" && c.Type != "" {
			return nil, unsupported(indexed(at, i, "type"), "a call of type %.40q cannot be understood; only those of functions can", c.Type)
		}
		if c.ID == "" || c.Function.Name == "" {
			return nil, invalid(indexed(at, i, ""), "%s needs an id and a function's name", indexed(at, i, ""))
		}
		out = append(out, engine.ToolCall{ID: c.ID, Name: c.Function.Name, Arguments: c.Function.Arguments})
	}
	return out, nil
}

// answersCall tells whether a tool's message answers a call that the assistant
// made before it.
func answersCall(before []engine.Message, id string) bool {
	for _, m := range before {
		for _, c := range m.ToolCalls {
			if c.ID == id {
				return true
			}
		}
	}
	return false
}

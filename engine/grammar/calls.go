package grammar

import (
	"encoding/json"
	"strings"

	"github.com/plexus-network/plexus/engine"
)

// How an answer writes a call of a tool, as Hermes and Qwen models do:
//
//	<tool_call>{"name": "weather", "arguments": {"city": "Paris"}}</tool_call>
//
// with at most one line feed after the opening mark, before the closing one,
// and between two calls. Free text may come before the first call, where the
// request leaves the choice, and nothing may follow the last.
const (
	CallBegin = "<tool_call>"
	CallEnd   = "</tool_call>"
)

// maxCalls bounds the calls of one answer.
const maxCalls = 16

// WriteCall writes a call as an answer would. Arguments that are no JSON object
// stand there as a string.
func WriteCall(c engine.ToolCall) string {
	arguments := c.Arguments
	if !json.Valid([]byte(arguments)) {
		arguments = quote(arguments)
	}
	return CallBegin + `{"name": ` + quote(c.Name) + `, "arguments": ` + arguments + "}" + CallEnd
}

// CallHead reads what stands between CallBegin and the arguments of a call: the
// tool's name. It returns false where s has not come that far.
func CallHead(s string) (name, rest string, ok bool) {
	s, ok = cutAll(s, "{", `"name"`, ":")
	if !ok || !strings.HasPrefix(s, `"`) {
		return "", "", false
	}
	end := strings.IndexByte(s[1:], '"') // names have no quotes and no escapes
	if end < 0 {
		return "", "", false
	}
	if json.Unmarshal([]byte(s[:end+2]), &name) != nil {
		return "", "", false
	}
	rest, ok = cutAll(s[end+2:], ",", `"arguments"`, ":")
	return name, rest, ok && rest != ""
}

// cutAll cuts marks off the front of s, one after the other, and white space.
func cutAll(s string, marks ...string) (string, bool) {
	for _, m := range marks {
		var ok bool
		if s, ok = strings.CutPrefix(strings.TrimLeft(s, " \n"), m); !ok {
			return "", false
		}
	}
	return strings.TrimLeft(s, " \n"), true
}

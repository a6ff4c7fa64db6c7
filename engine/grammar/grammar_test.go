package grammar

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/plexus-network/plexus/engine"
	"pgregory.net/rapid"
)

// testVocabulary is all bytes, some longer tokens, a control token and an end.
type testVocabulary []string

func newTestVocabulary() testVocabulary {
	v := make(testVocabulary, 256)
	for b := range v {
		v[b] = string([]byte{byte(b)})
	}
	return append(v, `{"`, `":`, `": `, `","`, `"}`, `"}}`, `":{"`, "true", "null", "the ", "hello world", "é", "é\xe4", "12", "007", "-1", `\u00`, `\"`, "[[", "]]", "], ", "name", "a", "ab", "abc",
		"<tool", "_call>", "<tool_call>", "</tool_call>", "\n", "}\n</", `{"name": "`, "\x00<|control|>", "\x00<|end|>")
}

func (v testVocabulary) Size() int { return len(v) }
func (v testVocabulary) Piece(t engine.Token) string {
	if strings.HasPrefix(v[t], "\x00<") {
		return ""
	}
	return v[t]
}
func (v testVocabulary) Ends(t engine.Token) bool { return v[t] == "\x00<|end|>" }

func schemaOf(s string) engine.Constraint {
	return engine.Constraint{Form: engine.JSONSchema, Schema: []byte(s)}
}

func compile(t testing.TB, c engine.Constraint) *Grammar {
	t.Helper()
	g, err := Compile(c)
	if err != nil {
		t.Fatalf("compile %s: %v", c.Schema, err)
	}
	return g
}

// says tells whether a grammar allows a whole answer, byte by byte.
func says(g *Grammar, answer string) bool {
	m := NewMachine(g, nil).Begin(0)
	return (answer == "" || m.Take(answer, false)) && m.Take("", true)
}

func TestSchemaAllows(t *testing.T) {
	for _, c := range []struct {
		schema    string
		good, bad []string
	}{
		{
			`{"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"string"}},"required":["a"],"additionalProperties":false}`,
			[]string{`{"a":1}`, `{"a": -12, "b": "x"}`, `{"a":0,"b":""}`},
			[]string{`{}`, `{"b":"x","a":1}`, `{"a":1,}`, `{"a":01}`, `{"a":1.5}`, `{"a":1}}`, ` {"a":1}`, `{"a":1,"c":2}`, `{"a":-0}`, `{"a":1234567890123456}`},
		},
		{`{"type":"object","properties":{"a":true,"b":true}}`, []string{`{}`, `{"b":[1,{}]}`, `{"a":null,"b":false}`}, []string{`{"c":1}`, `{,"a":1}`}},
		{`{"type":"object"}`, []string{`{}`, `{"x":{"y":[]}}`}, []string{`[]`, `{"x"}`}},
		{`{"type":"object","additionalProperties":{"type":"number"}}`, []string{`{"x":1.5e-10,"y":0}`}, []string{`{"x":"y"}`, `{"x":1.}`, `{"x":1e999}`}},
		{`{"type":"object","additionalProperties":false}`, []string{`{}`}, []string{`{"a":1}`}},
		{`{"type":"object","required":["z"]}`, []string{`{"z":[]}`}, []string{`{}`}},
		{`{"type":"array","items":{"type":"boolean"},"minItems":1,"maxItems":3}`, []string{`[true]`, `[true, false,true]`}, []string{`[]`, `[true,false,true,true]`, `[1]`}},
		{`{"type":"array","maxItems":0}`, []string{`[]`}, []string{`[1]`}},
		{`{"type":"array","items":{"type":"null"},"minItems":2}`, []string{`[null,null]`, `[null,null,null,null]`}, []string{`[null]`}},
		{`{"type":"string","minLength":2,"maxLength":3}`, []string{`"äb"`, `"\u00e4\n🙂"`}, []string{`"a"`, `"abcd"`, `"ab`, "\"a\nb\"", `"\ud83d\ude00"`, "\"a\xff\""}},
		{`{"enum":["a","ab","abc",1,null,{"k":[1,2]},"\"<"]}`, []string{`"a"`, `"ab"`, `"abc"`, `1`, `null`, `{"k":[1,2]}`, `"\"<"`}, []string{`"b"`, `"abcd"`, `12`}},
		{`{"type":["string","null"],"enum":["a",null,7]}`, []string{`"a"`, `null`}, []string{`7`}},
		{`{"const":12}`, []string{`12`}, []string{`1`, `122`}},
		{`{"type":["integer","string"]}`, []string{`5`, `"x"`}, []string{`null`, `5.5`}},
		{`{"type":["integer","number"]}`, []string{`5`, `5.25`, `-0.5E+07`}, []string{`.5`, `+1`}},
		{
			`{"anyOf":[{"type":"object","properties":{"k":{"const":"a"},"x":{"type":"integer"}},"required":["k","x"]},{"type":"object","properties":{"k":{"const":"b"}},"required":["k"]}]}`,
			[]string{`{"k":"a","x":1}`, `{"k":"b"}`},
			[]string{`{"k":"a"}`, `{"k":"b","x":1}`},
		},
		{`{"oneOf":[{"type":"object","properties":{"k":{"const":"a"}},"required":["k"]},{"type":"object","properties":{"k":{"const":"b"}},"required":["k"]},{"type":"null"}]}`, []string{`{"k":"b"}`, `null`}, nil},
		{`{"allOf":[{"$ref":"#/$defs/x"}],"$defs":{"x":{"type":"integer","title":"X"}}}`, []string{`3`}, []string{`"3"`}},
		{
			`{"$ref":"#/$defs/node","$defs":{"node":{"type":"object","properties":{"v":{"type":"integer"},"next":{"anyOf":[{"$ref":"#/$defs/node"},{"type":"null"}]}},"required":["v","next"]}}}`,
			[]string{`{"v":1,"next":null}`, `{"v":1,"next":{"v":2,"next":null}}`},
			[]string{`{"v":1}`},
		},
		{`{"type":"object","properties":{"children":{"type":"array","items":{"$ref":"#"}}},"required":["children"]}`, []string{`{"children":[{"children":[]},{"children":[]}]}`}, []string{`{"children":[{}]}`}},
		{`true`, []string{`{"a":[1,"x",null]}`, `"x"`, `-5`}, []string{`nul`, ``}},
	} {
		g := compile(t, schemaOf(c.schema))
		for _, a := range c.good {
			if !says(g, a) {
				t.Errorf("%s forbids %s", c.schema, a)
			}
		}
		for _, a := range c.bad {
			if says(g, a) {
				t.Errorf("%s allows %s", c.schema, a)
			}
		}
	}
}

func TestIntegersKeepToBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		number := rapid.OneOf(rapid.Int64Range(-1200, 1200), rapid.Int64Range(-mostInteger, mostInteger))
		low := number.Draw(t, "low")
		high := rapid.Int64Range(low, min(low+rapid.Int64Range(0, 1<<40).Draw(t, "wide"), mostInteger)).Draw(t, "high")
		g, err := Compile(schemaOf(fmt.Sprintf(`{"type":"integer","minimum":%d,"maximum":%d}`, low, high)))
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range []int64{low - 1, low, low + 1, high - 1, high, high + 1, 0, -low, number.Draw(t, "n")} {
			if got, want := says(g, fmt.Sprint(n)), n >= low && n <= high; got != want {
				t.Fatalf("from %d to %d: %d is allowed: %v", low, high, n, got)
			}
		}
	})
	for schema, want := range map[string][2]string{ // what it allows, and what not
		`{"type":"integer","exclusiveMinimum":0}`:                  {"1", "0"},
		`{"type":"integer","minimum":0.5,"exclusiveMaximum":2.5}`:  {"2", "3"},
		`{"type":"integer","maximum":-1}`:                          {"-1", "0"},
		`{"type":"number","minimum":0}`:                            {"0.5", "-1"},
		`{"minimum":0}`:                                            {"5.5", "-5"},
		`{"type":["integer","null"],"minimum":10,"maximum":99999}`: {"null", "9"},
	} {
		g := compile(t, schemaOf(schema))
		if !says(g, want[0]) || says(g, want[1]) {
			t.Errorf("%s: wants %s, not %s", schema, want[0], want[1])
		}
	}
}

func TestSchemaErrorsNameThePath(t *testing.T) {
	deep := strings.Repeat(`{"type":"array","items":`, 60) + "true" + strings.Repeat("}", 60)
	for _, c := range []struct{ schema, path, says string }{
		{`{"type":"object","properties":{"a":{"type":"string","pattern":"^x"}}}`, "/properties/a/pattern", "pattern"},
		{`{"type":"array","items":{"not":{}}}`, "/items/not", "not"},
		{`{"type":"thing"}`, "/type", `"thing"`},
		{`{"type":[]}`, "/type", "list of types"},
		{`{"$ref":"#/$defs/x"}`, "/$ref", "not there"},
		{`{"$ref":"http://x/y"}`, "/$ref", "outside"},
		{`{"$ref":"#"}`, "", "itself"},
		{`{"anyOf":[{"$ref":"#"},{"type":"null"}]}`, "", "itself"},
		{`{"type":"object","properties":{"n":{"$ref":"#"}},"required":["n"]}`, "", "no value of it ends"},
		{`{"oneOf":[{"type":"integer"},{"type":"number"}]}`, "/oneOf", "0 and 1"},
		{`{"allOf":[{"type":"object"},{"type":"object"}]}`, "/allOf", "allOf"},
		{`{"anyOf":[]}`, "/anyOf", "1 to 128"},
		{`{"type":"object","anyOf":[true]}`, "", "beside"},
		{`{"enum":[]}`, "/enum", "at least one"},
		{`{"type":"string","enum":[1]}`, "/enum", "no value"},
		{`{"type":"string","minLength":3,"maxLength":2}`, "", "minLength is 3"},
		{`{"type":"integer","minimum":3,"maximum":2}`, "", "from 3 to 2"},
		{`{"type":"integer","minimum":"x"}`, "/minimum", "no number"},
		{`{"type":"number","maximum":5}`, "/maximum", "integer"},
		{`{"type":"number","minimum":5}`, "/minimum", "integer"},
		{`{"type":"array","minItems":-1}`, "/minItems", "whole number"},
		{`{"type":"array","minItems":"2"}`, "/minItems", "whole number"},
		{`{"type":"object","properties":{"a":7}}`, "/properties/a", "integer"},
		{`{"type":"object","properties":{},"required":["z"],"additionalProperties":false}`, "/required", `"z"`},
		{`false`, "", "no value"},
		{`{} {}`, "", "more than one"},
		{`{`, "", "not JSON"},
		{deep, "", "deep"},
	} {
		_, err := Compile(schemaOf(c.schema))
		var bad *SchemaError
		if !errors.Is(err, engine.ErrRequest) || !errors.As(err, &bad) || bad.Path != c.path || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%.100s: got %v, want ErrRequest at %q with %q", c.schema, err, c.path, c.says)
		}
	}
}

var weather = engine.Tool{Name: "weather", Parameters: json.RawMessage(`{"type":"object","properties":{"city":{"type":"string"}},"required":["city"],"additionalProperties":false}`)}

func TestToolCalls(t *testing.T) {
	tools := []engine.Tool{weather, {Name: "wait"}}
	call, wait := `<tool_call>{"name":"weather","arguments":{"city":"<tool_call>"}}</tool_call>`, "<tool_call>\n{\"name\": \"wait\", \"arguments\": {}}\n</tool_call>"
	for _, c := range []struct {
		name      string
		c         engine.Constraint
		good, bad []string
	}{
		{
			"auto",
			engine.Constraint{Tools: tools},
			[]string{"", "hello <tool_ call", call, wait, "Let me see.\n" + call, call + "\n" + wait, "<<tool_call" + wait, "<tool_call"},
			[]string{"<tool_call>", "x<tool_call>{}", call + "then", `<tool_call>{"name":"other","arguments":{}}</tool_call>`},
		},
		{"required", engine.Constraint{Tools: tools, Choice: engine.ToolsRequired}, []string{call, wait + call}, []string{"", "hello", " " + call}},
		{"named", engine.Constraint{Tools: tools, Only: "wait"}, []string{wait, wait + "\n" + wait}, []string{call, "", "hello"}},
		{"single", engine.Constraint{Tools: tools, Single: true}, []string{call, "a" + wait, "hello"}, []string{call + wait}},
		{"auto with JSON", engine.Constraint{Tools: tools, Form: engine.JSONObject}, []string{call, `{"a":1}`}, []string{"hello", ""}},
	} {
		g := compile(t, c.c)
		for _, a := range c.good {
			if !says(g, a) {
				t.Errorf("%s: forbids %q", c.name, a)
			}
		}
		for _, a := range c.bad {
			if says(g, a) {
				t.Errorf("%s: allows %q", c.name, a)
			}
		}
	}
	_, err := Compile(engine.Constraint{Tools: []engine.Tool{{Name: "x", Parameters: json.RawMessage(`{"type":"array"}`)}}})
	if bad := (*SchemaError)(nil); !errors.As(err, &bad) || bad.Tool != "x" {
		t.Errorf("parameters that are no object: %v", err)
	}
}

func TestCallHead(t *testing.T) {
	for s, want := range map[string]string{
		`{"name": "x", "arguments": {"a":1}}`: "x", "\n{\"name\":\"y\",\"arguments\":{": "y",
		`{"name": "x", "arguments": `: "", `{"name": "x`: "", `{"nome": "x"`: "",
	} {
		if name, _, ok := CallHead(s); name != want && ok || ok != (want != "") {
			t.Errorf("%q: got %q, %v", s, name, ok)
		}
	}
}

// walk writes a random answer, token by token among the allowed, and prefers
// short tokens that close what is open when it gets long.
func walk(t *rapid.T, m *Machine, v testVocabulary, most int) (answer string, whole bool) {
	x := m.Begin(most)
	var b strings.Builder
	for range most {
		if rapid.IntRange(0, 20).Draw(t, "forget") == 0 {
			m.reset() // as when it remembers too much
		}
		allowed := x.Allowed()
		var list []engine.Token
		for token := range allowed.All() {
			list = append(list, token)
		}
		if len(list) == 0 {
			t.Fatalf("no token may come after %q", b.String())
		}
		token := rapid.SampledFrom(list).Draw(t, "token")
		if !x.Advance(token) {
			t.Fatalf("after %q the token %q is in the mask and is not taken", b.String(), v[token])
		}
		if v.Ends(token) {
			return b.String(), true
		}
		b.WriteString(v.Piece(token))
	}
	return b.String(), false
}

// TestRandomAnswersFitRandomSchemas is what the package promises: whatever
// allowed tokens are picked, the answer parses and is of the schema, and it is
// whole within the limit when the limit has room for the shortest one.
func TestRandomAnswersFitRandomSchemas(t *testing.T) {
	v := newTestVocabulary()
	vocabulary := NewVocabulary(v)
	rapid.Check(t, func(t *rapid.T) {
		defs := map[string]any{}
		schema := drawSchema(t, 3, defs)
		if o, ok := schema.(map[string]any); ok && len(defs) > 0 {
			o["$defs"] = defs
		}
		source, _ := json.Marshal(schema)
		c := schemaOf(string(source))
		within := rapid.IntRange(1, 400).Draw(t, "within")
		g, err := Compile(c)
		if err != nil {
			var bad *SchemaError
			if !errors.As(err, &bad) || !strings.Contains(err.Error(), "no value of it ends") && !strings.Contains(err.Error(), "itself") {
				t.Fatalf("compile %s: %v", source, err)
			}
			return
		}
		m := NewMachine(g, vocabulary)
		answer, whole := walk(t, m, v, within)
		if !whole {
			if shortest := int(m.Begin(0).s.left) + 1; shortest <= within {
				t.Fatalf("%q is not whole in %d tokens, the shortest answer takes %d: %s", answer, within, shortest, source)
			}
			return
		}
		var value any
		if err := json.Unmarshal([]byte(answer), &value); err != nil || !utf8.ValidString(answer) {
			t.Fatalf("%q does not parse: %v", answer, err)
		}
		if why := invalid(schema, value, defs); why != "" {
			t.Fatalf("%q is not of %s: %s", answer, source, why)
		}
	})
}

// TestMasksDoNotDependOnWhatAMachineSaw compares a machine that has seen other
// answers with a new one: a checker's must say what the miner's said.
func TestMasksDoNotDependOnWhatAMachineSaw(t *testing.T) {
	v := newTestVocabulary()
	vocabulary := NewVocabulary(v)
	rapid.Check(t, func(t *rapid.T) {
		defs := map[string]any{}
		source, _ := json.Marshal(drawSchema(t, 2, defs))
		c := schemaOf(string(source))
		if len(defs) > 0 {
			c.Schema = []byte(`{"type":"array","items":true}`)
		}
		g, err := Compile(c)
		if err != nil {
			t.Skip(err)
		}
		old := NewMachine(g, vocabulary)
		for range 3 {
			walk(t, old, v, 20)
		}
		a, b := old.Begin(30), NewMachine(g, vocabulary).Begin(30)
		for range 30 {
			allowed := slices.Clone(a.Allowed())
			if !slices.Equal(allowed, b.Allowed()) {
				t.Fatalf("two machines allow different tokens of %s", source)
			}
			list := slices.Collect(allowed.All())
			token := rapid.SampledFrom(list).Draw(t, "token")
			if a.Advance(token); !b.Advance(token) || v.Ends(token) {
				return
			}
		}
	})
}

// FuzzCompile gives it schemas that are none: they are refused with an error of
// the right kind, and what is not refused can be answered.
func FuzzCompile(f *testing.F) {
	for _, s := range []string{
		`{"type":"object","properties":{"a":{"$ref":"#/$defs/x"}},"required":["a"],"$defs":{"x":{"enum":[1,"b"]}}}`,
		`{"anyOf":[{"type":"array","minItems":2,"items":{"type":"string","maxLength":9}},{"const":{"k":null}}]}`,
		`{"oneOf":[{"properties":{"k":{"const":"a"}},"required":["k"]},{"type":["null","integer"]}]}`,
		`{"$ref":"#/anyOf/0","anyOf":[{"type":"string","minLength":65536}]}`, `true`, `{"type":"object","additionalProperties":{"$ref":"#"}}`,
	} {
		f.Add([]byte(s), []byte("seed"))
	}
	v := newTestVocabulary()
	vocabulary := NewVocabulary(v)
	f.Fuzz(func(t *testing.T, schema, picks []byte) {
		c := engine.Constraint{Form: engine.JSONSchema, Schema: schema}
		g, err := Compile(c)
		if err != nil {
			if !errors.Is(err, engine.ErrRequest) {
				t.Fatalf("error = %v, want ErrRequest", err)
			}
			return
		}
		x := NewMachine(g, vocabulary).Begin(len(picks))
		var said strings.Builder
		for _, pick := range picks {
			list := slices.Collect(x.Allowed().All())
			if len(list) == 0 {
				t.Fatalf("nothing may come after %q", said.String())
			}
			token := list[int(pick)%len(list)]
			if !x.Advance(token) {
				t.Fatalf("%q is allowed and not taken after %q", v[token], said.String())
			}
			if v.Ends(token) {
				if !json.Valid([]byte(said.String())) {
					t.Fatalf("%q is not JSON", said.String())
				}
				return
			}
			said.WriteString(v.Piece(token))
		}
	})
}

// drawSchema makes a schema whose references go into defs.
func drawSchema(t *rapid.T, depth int, defs map[string]any) any {
	kinds := []string{"string", "integer", "number", "boolean", "null", "enum", "any", "list", "short"}
	if depth > 0 {
		kinds = append(kinds, "object", "object", "array", "array", "anyOf", "map", "ref", "ref")
	}
	switch kind := rapid.SampledFrom(kinds).Draw(t, "kind"); kind {
	case "enum":
		return map[string]any{"enum": rapid.SliceOfN(rapid.SampledFrom([]any{"a", "ab", "é\"", 1.5, nil, true, []any{1.0}}), 1, 4).Draw(t, "enum")}
	case "any":
		return map[string]any{}
	case "list":
		return map[string]any{"type": []any{"string", "null"}}
	case "short":
		n := rapid.IntRange(0, 4).Draw(t, "min")
		return map[string]any{"type": "string", "minLength": n, "maxLength": n + rapid.IntRange(0, 4).Draw(t, "more")}
	case "object":
		properties, required := map[string]any{}, []any{}
		for i := range rapid.IntRange(0, 4).Draw(t, "properties") {
			name := fmt.Sprintf("%c%d", 'a'+i, i)
			properties[name] = drawSchema(t, depth-1, defs)
			if rapid.Bool().Draw(t, "required") {
				required = append(required, name)
			}
		}
		return map[string]any{"type": "object", "properties": properties, "required": required, "additionalProperties": false}
	case "array":
		n := rapid.IntRange(0, 3).Draw(t, "min")
		o := map[string]any{"type": "array", "items": drawSchema(t, depth-1, defs), "minItems": n}
		if rapid.Bool().Draw(t, "bounded") {
			o["maxItems"] = n + rapid.IntRange(0, 3).Draw(t, "more")
		}
		return o
	case "anyOf":
		return map[string]any{"anyOf": []any{drawSchema(t, depth-1, defs), drawSchema(t, depth-1, defs)}}
	case "map":
		return map[string]any{"type": "object", "additionalProperties": drawSchema(t, depth-1, defs)}
	case "ref":
		if len(defs) > 0 && rapid.Bool().Draw(t, "again") {
			names := make([]string, 0, len(defs))
			for name := range defs {
				names = append(names, name)
			}
			slices.Sort(names)
			return map[string]any{"$ref": "#/$defs/" + rapid.SampledFrom(names).Draw(t, "name")}
		}
		name := fmt.Sprintf("d%d", len(defs))
		defs[name] = true // so that its own schema may refer to it
		defs[name] = drawSchema(t, depth-1, defs)
		return map[string]any{"$ref": "#/$defs/" + name}
	default:
		return map[string]any{"type": kind}
	}
}

// invalid says why a value is not of a schema, by the plain reading of it.
func invalid(schema, value any, defs map[string]any) string {
	o, ok := schema.(map[string]any)
	if !ok {
		return ""
	}
	if ref, ok := o["$ref"].(string); ok {
		return invalid(defs[strings.TrimPrefix(ref, "#/$defs/")], value, defs)
	}
	if list, ok := o["anyOf"].([]any); ok {
		why := ""
		for _, one := range list {
			w := invalid(one, value, defs)
			if w == "" {
				return ""
			}
			why += w + "; "
		}
		return why
	}
	if list, ok := o["enum"].([]any); ok {
		for _, one := range list {
			if fmt.Sprint(one) == fmt.Sprint(value) {
				return ""
			}
		}
		return fmt.Sprintf("%v is none of %v", value, list)
	}
	switch kind := o["type"].(type) {
	case []any:
		if _, ok := value.(string); !ok && value != nil {
			return fmt.Sprintf("%v is no string or null", value)
		}
	case string:
		return invalidKind(kind, o, value, defs)
	}
	return ""
}

func invalidKind(kind string, o map[string]any, value any, defs map[string]any) string {
	ok := false
	switch v := value.(type) {
	case string:
		ok = kind == "string"
		if least, given := o["minLength"].(int); given && (utf8.RuneCountInString(v) < least || utf8.RuneCountInString(v) > o["maxLength"].(int)) {
			return "wrong length"
		}
	case float64:
		ok = kind == "number" || kind == "integer" && v == float64(int64(v))
	case bool:
		ok = kind == "boolean"
	case nil:
		ok = kind == "null"
	case []any:
		ok = kind == "array"
		if most, given := o["maxItems"].(int); given && len(v) > most || ok && len(v) < o["minItems"].(int) {
			return fmt.Sprintf("%d items", len(v))
		}
		for _, x := range v {
			if why := invalid(o["items"], x, defs); why != "" {
				return why
			}
		}
	case map[string]any:
		ok = kind == "object"
		properties, listed := o["properties"].(map[string]any)
		for k, x := range v {
			sub, known := properties[k]
			if !known && listed {
				return "extra " + k
			}
			if !known {
				sub = o["additionalProperties"]
			}
			if why := invalid(sub, x, defs); why != "" {
				return why
			}
		}
		required, _ := o["required"].([]any)
		for _, k := range required {
			if _, there := v[k.(string)]; !there {
				return fmt.Sprint("missing ", k)
			}
		}
	}
	if !ok {
		return fmt.Sprintf("%v is no %s", value, kind)
	}
	return ""
}

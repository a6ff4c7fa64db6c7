package jinja

import (
	"errors"
	"strings"
	"testing"
)

// conversation is what the templates of these tests are given.
var conversation = map[string]any{
	"messages": []any{
		map[string]any{"role": "system", "content": "Be brief."},
		map[string]any{"role": "user", "content": " Hi "},
		map[string]any{"role": "assistant", "content": "Hello"},
		map[string]any{"role": "user", "content": "Bye"},
	},
	"add_generation_prompt": true,
	"bos_token":             "<s>",
}

func render(t *testing.T, source string) string {
	t.Helper()
	tmpl, err := Parse(source)
	if err != nil {
		t.Fatalf("parse %q: %v", source, err)
	}
	got, err := tmpl.Render(conversation, Budget{})
	if err != nil {
		t.Fatalf("render %q: %v", source, err)
	}
	return got
}

func TestRender(t *testing.T) {
	for _, c := range []struct{ name, source, want string }{
		{"plain", "a{# no #}b", "ab"},
		{"expression", "{{ 1 + 2 * 3 }}", "7"},
		{"text escapes", `{{ 'a\n' + "b" ~ 3 }}`, "a\nb3"},
		{"loop", "{% for m in messages %}{{ m.role }},{% endfor %}", "system,user,assistant,user,"},
		{"loop state", "{% for m in messages %}{{ loop.index0 }}{{ ';' if not loop.last }}{% endfor %}", "0;1;2;3"},
		{"loop filter", "{% for m in messages if m['role'] == 'user' %}{{ m.content|trim }}.{% endfor %}", "Hi.Bye."},
		{"loop else", "{% for m in [] %}x{% else %}none{% endfor %}", "none"},
		{"break", "{% for i in range(9) %}{% if i > 2 %}{% break %}{% endif %}{{ i }}{% endfor %}", "012"},
		{"if chain", "{% if false %}a{% elif 1 == 1 %}b{% else %}c{% endif %}", "b"},
		{"set in a loop stays inside", "{% set x = 1 %}{% for i in [1] %}{% set x = 2 %}{% endfor %}{{ x }}", "1"},
		{"namespace crosses a loop", "{% set ns = namespace(x=1) %}{% for i in [1] %}{% set ns.x = 2 %}{% endfor %}{{ ns.x }}", "2"},
		{"block set", "{% set x %}a{{ 1 }}{% endset %}{{ x }}", "a1"},
		{"macro", "{% macro f(a, b='!') %}<{{ a }}{{ b }}>{% endmacro %}{{ f('x') }}{{ f('y', b='?') }}", "<x!><y?>"},
		{"slice", "{{ messages[1:]|length }}{{ messages[::-1][0].content }}{{ messages[-1]['role'] }}", "3Byeuser"},
		{"methods", "{{ ' aXb '.strip().split('X')[-1].upper() }}{{ 'abc'.startswith('ab') }}", "BTrue"},
		{"tests", "{{ x is defined }}{{ messages is sequence and 'a' is string }}{{ none is not none }}{{ 4 is divisibleby 2 }}", "FalseTrueFalseTrue"},
		{"in", "{{ 'role' in messages[0] }}{{ 'z' not in 'abc' }}", "TrueTrue"},
		{"filters", "{{ [3,1,2]|sort|join('-') }}{{ none|default('d', true) }}{{ messages|map(attribute='role')|unique|join(' ') }}", "1-2-3dsystem user assistant"},
		{"select", "{{ messages|selectattr('role', 'equalto', 'user')|list|length }}", "2"},
		{"json", `{{ {'b': [1, 'x"<'], 'a': none}|tojson }}`, `{"b": [1, "x\"<"], "a": null}`},
		{"precedence", "{{ not 1 == 2 and 'a' ~ 1 == 'a1' }}{{ -2 * 3 }}{{ 7 // 2 }}{{ -7 % 3 }}", "True-632"},
		{"unpacking", "{% for k, v in {'a': 1, 'b': 2}.items() %}{{ k }}{{ v }}{% endfor %}", "a1b2"},
		{"trimmed tags", "a \n{%- if true -%}\n b {%- endif %}", "ab"},
		{"trimmed blocks", "x\n  {% if true %}\ny\n  {% endif %}\nz", "x\ny\nz"},
		{"nested braces", "{{ {'a': {'b': 1}}['a']['b'] }}", "1"},
		{"generation", "{% generation %}a{% endgeneration %}", "a"},
		{
			"chatml", "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}",
			"<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n Hi <|im_end|>\n<|im_start|>assistant\nHello<|im_end|>\n<|im_start|>user\nBye<|im_end|>\n<|im_start|>assistant\n",
		},
		{
			"llama 2", "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set system_message = messages[0]['content'] %}{% endif %}{% for message in loop_messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles') }}{% endif %}{% if loop.index0 == 0 %}{% set content = '<<SYS>>' + system_message + '<</SYS>>' + message['content'] %}{% else %}{% set content = message['content'] %}{% endif %}{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}{% else %}{{ ' ' + content }}{% endif %}{% endfor %}",
			"<s>[INST] <<SYS>>Be brief.<</SYS>> Hi [/INST] Hello<s>[INST] Bye [/INST]",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := render(t, c.source); got != c.want {
				t.Errorf("%s\n got %q\nwant %q", c.source, got, c.want)
			}
		})
	}
}

func TestParseRefusesBrokenTemplates(t *testing.T) {
	for _, source := range []string{
		"{{ 1", "{% if x %}", "{% for x in %}{% endfor %}", "{% include 'x' %}", "{{ x|nofilter }}", "{{ x is notest }}",
		"{{ 'a }}", "{% endif %}", "{{ [1 }}", "{# x", strings.Repeat("{{ (", 1000), strings.Repeat("{% if 1 %}", 1000),
		"{{" + strings.Repeat("-", 1000) + "1}}", strings.Repeat("x", maxSource+1),
	} {
		if _, err := Parse(source); !errors.Is(err, ErrSyntax) {
			t.Errorf("Parse(%.30q): got %v, want ErrSyntax", source, err)
		}
	}
}

func TestRenderIsBounded(t *testing.T) {
	for _, c := range []struct {
		name, source string
		want         error
	}{
		{"endless loop", "{% for a in range(10000) %}{% for b in range(10000) %}{% endfor %}{% endfor %}", ErrBudget},
		{"huge range", "{{ range(99999999999) }}", ErrBudget},
		{"doubling", "{% set ns = namespace(x='ab') %}{% for i in range(60) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}", ErrBudget},
		{"repeat", "{{ 'ab' * 99999999999 }}", ErrBudget},
		{"replace", "{% set x = 'a' * 1000000 %}{{ x.replace('a', x) }}", ErrBudget},
		{"recursion", "{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}", ErrBudget},
		{"a list in itself", "{% set l = [] %}{% if l.append(l) %}{% endif %}{{ l }}", ErrBudget},
		{"raise", "{{ raise_exception('no') }}", ErrRaised},
		{"undefined member", "{{ a.b.c }}", errValue},
		{"division", "{{ 1 // 0 }}", errValue},
		{"break outside", "{% break %}", errBreak},
	} {
		t.Run(c.name, func(t *testing.T) {
			tmpl, err := Parse(c.source)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := tmpl.Render(conversation, Budget{}); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

func FuzzRender(f *testing.F) {
	f.Add("{% for m in messages %}{{ m.role|upper }}{% endfor %}")
	f.Add("{% set x = [1,2][::-1] %}{{ x|tojson(indent=2) }}")
	f.Add("{% macro f(a='b') %}{{ a }}{% endmacro %}{{ f() }}")
	f.Fuzz(func(t *testing.T, source string) {
		tmpl, err := Parse(source)
		if err != nil {
			return
		}
		one, err1 := tmpl.Render(conversation, Budget{Steps: 10_000, Bytes: 1 << 16})
		two, err2 := tmpl.Render(conversation, Budget{Steps: 10_000, Bytes: 1 << 16})
		if one != two || (err1 == nil) != (err2 == nil) {
			t.Fatalf("two renderings differ: %q %v, %q %v", one, err1, two, err2)
		}
		if len(one) > 1<<16 {
			t.Fatalf("%d bytes out of a budget of %d", len(one), 1<<16)
		}
	})
}

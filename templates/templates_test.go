package templates

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/plexus-network/plexus/market"
	"github.com/plexus-network/plexus/market/sdl"
	"github.com/plexus-network/plexus/provider/price"
)

// filled returns a template with all blanks filled in by something that YAML
// could stumble over.
func filled(t *testing.T, template Template) string {
	t.Helper()
	values := map[string]string{}
	for _, b := range Blanks(template.SDL) {
		values[b.Name] = `it's "a": #` + b.Name + `\ <value>`
	}
	text, err := Fill(template.SDL, values)
	if err != nil {
		t.Fatal(err)
	}
	if left := Blanks(text); len(left) > 0 {
		t.Errorf("left blank: %+v", left)
	}
	return text
}

func TestTemplatesAreWhatTheySay(t *testing.T) {
	all := All()
	if len(all) < 8 {
		t.Fatalf("%d templates", len(all))
	}
	for _, template := range all {
		t.Run(template.Name, func(t *testing.T) {
			if template.Title == "" || len(template.About) < 100 {
				t.Errorf("title %q, about %q", template.Title, template.About)
			}
			if !strings.Contains(template.About, "Change:") {
				t.Error("nothing says what to change")
			}
			parsed, err := sdl.Parse([]byte(filled(t, template)))
			if err != nil {
				t.Fatal(err)
			}
			if len(parsed.Warnings) > 0 {
				t.Errorf("warnings: %v", parsed.Warnings)
			}
			if err := market.ValidateGroups(parsed.Groups); err != nil {
				t.Error(err)
			}
			if err := parsed.Manifest.Check(parsed.Groups); err != nil {
				t.Error(err)
			}
			if asks := asked(parsed.Groups); asks != template.Asks {
				t.Errorf("it asks for %s, and says %s", asks, template.Asks)
			}
			if costs := cost(t, parsed.Groups); costs != template.Costs {
				t.Errorf("it costs %s, and says %s", costs, template.Costs)
			}
			gpus := strings.Contains(template.About, "GPU: ")
			if wants := strings.Contains(template.Asks, "GPU"); wants != gpus {
				t.Errorf("it asks for %s, and tells of a GPU: %v", template.Asks, gpus)
			}
		})
	}
}

// asked says what groups ask for in sum.
func asked(groups []market.GroupSpec) string {
	var sum market.Totals
	for _, g := range groups {
		sum = sum.Add(g.Totals())
	}
	size := func(q market.Quantity) string {
		if q%(1<<30) == 0 {
			return fmt.Sprintf("%dGi", q>>30)
		}
		return fmt.Sprintf("%dMi", q>>20)
	}
	memory, disk := sum.Memory, sum.Storage
	for _, g := range groups { // a disk in memory is memory
		for _, u := range g.Units {
			for _, v := range u.Resources.Storage {
				if class, _ := v.Attributes.Get("class"); class == "ram" {
					memory, disk = memory+v.Size, disk-v.Size
				}
			}
		}
	}
	text := fmt.Sprintf("%s, %s memory, %s storage", count(float64(sum.CPU)/1000, "core"), size(memory), size(disk))
	if sum.GPU > 0 {
		text += ", " + count(float64(sum.GPU), "GPU")
	}
	return text
}

// count says how many of a thing there are.
func count(n float64, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return fmt.Sprintf("%v %s", n, thing)
}

// cost says what groups cost.
func cost(t *testing.T, groups []market.GroupSpec) string {
	t.Helper()
	var at, most market.Exact
	for _, g := range groups {
		p, err := price.DefaultScale().Price(context.Background(), "", g)
		if err != nil {
			t.Fatal(err)
		}
		at, _ = at.Add(p)
		most, _ = most.Add(g.Price().Amount)
	}
	if at.Compare(most) >= 0 {
		t.Errorf("at %v it is above its own limit of %v", at, most)
	}
	short := func(e market.Exact) string { return strings.TrimSuffix(strings.TrimRight(e.String(), "0"), ".") }
	return fmt.Sprintf("%s nplx per block at the rates a provider begins with, at most %s", short(at), short(most))
}

func TestBlanksStandInDoubleQuotes(t *testing.T) {
	for _, template := range All() {
		var doc yaml.Node
		if err := yaml.Unmarshal([]byte(template.SDL), &doc); err != nil {
			t.Fatal(err)
		}
		var walk func(n *yaml.Node)
		walk = func(n *yaml.Node) {
			if len(Blanks(n.Value)) > 0 && n.Style != yaml.DoubleQuotedStyle {
				t.Errorf("%s:%d: a blank that Fill may break", template.Name, n.Line)
			}
			for _, child := range n.Content {
				walk(child)
			}
		}
		walk(&doc)
	}
}

func TestBlanks(t *testing.T) {
	text := "a\n- \"A=<<KEY: what it is>>\"\n\n<<EOF\n- \"<<B_2: x>><<KEY: again>>\" <<lower: no>>\n"
	want := []Blank{{"KEY", "what it is", 2}, {"B_2", "x", 5}, {"KEY", "again", 5}}
	if got := Blanks(text); !slices.Equal(got, want) {
		t.Errorf("blanks %+v, want %+v", got, want)
	}
	got, err := Fill(text, map[string]string{"KEY": `q"\`})
	if want := "a\n- \"A=q\\\"\\\\\"\n\n<<EOF\n- \"<<B_2: x>>q\\\"\\\\\" <<lower: no>>\n"; err != nil || got != want {
		t.Errorf("filled %q, %v; want %q", got, err, want)
	}
	if _, err := Fill(text, map[string]string{"OTHER": "x"}); err == nil || !strings.Contains(err.Error(), `"OTHER"`) {
		t.Errorf("a value for nothing: %v", err)
	}
}

func TestFind(t *testing.T) {
	if got, err := Find("vllm"); err != nil || got.Name != "vllm" {
		t.Errorf("vllm: %v, %v", got.Name, err)
	}
	if _, err := Find("vlm"); err == nil || !strings.Contains(err.Error(), "vllm") {
		t.Errorf("an unknown name: %v", err)
	}
}

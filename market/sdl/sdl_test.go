package sdl

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"go.yaml.in/yaml/v3"
	"pgregory.net/rapid"

	"github.com/plexus-network/plexus/market"
)

// TestGoldenFiles plays the files of testdata/golden:
//
//	base      a document, which the cases after it change
//	check     the verdict when the lines marked - are replaced by those marked +
//	manifest  the base's canonical manifest and its hash
//	groups    the base's group specs
func TestGoldenFiles(t *testing.T) {
	datadriven.Walk(t, "testdata/golden", func(t *testing.T, path string) {
		base := ""
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "base":
				base = d.Input + "\n"
				return verdict(base)
			case "check":
				old, with := patch(d.Input)
				if strings.Count(base, old) != 1 {
					d.Fatalf(t, "%q stands %d times in the base, want once", old, strings.Count(base, old))
				}
				return verdict(strings.Replace(base, old, with, 1))
			case "manifest":
				s, err := Parse([]byte(base))
				if err != nil {
					return err.Error()
				}
				text, _ := s.Manifest.Canonical()
				return string(text) + "\n" + s.Manifest.Hash().String()
			case "groups":
				s, err := Parse([]byte(base))
				if err != nil {
					return err.Error()
				}
				text, _ := json.Marshal(s.Groups)
				return string(text)
			}
			d.Fatalf(t, "unknown command %s", d.Cmd)
			return ""
		})
	})
}

// patch reads lines marked - and +.
func patch(input string) (old, with string) {
	for line := range strings.Lines(input + "\n") {
		if text, removed := strings.CutPrefix(line, "-"); removed {
			old += text
		} else {
			with += strings.TrimPrefix(line, "+")
		}
	}
	return old, with
}

// verdict tells what came of a document in a few lines.
func verdict(src string) string {
	s, err := Parse([]byte(src))
	if err != nil {
		return err.Error()
	}
	var out strings.Builder
	for _, w := range s.Warnings {
		fmt.Fprintf(&out, "warning %v\n", w)
	}
	fmt.Fprintf(&out, "valid %s %s", s.Version, s.Manifest.Hash().String()[:16])
	if s.Reclamation > 0 {
		fmt.Fprintf(&out, " reclamation %d s", s.Reclamation)
	}
	for i, g := range s.Groups {
		t := g.Totals()
		fmt.Fprintf(&out, "\n%s: %v, %d milli, %d bytes, %d stored, %d gpu", g.Name, g.Price(), t.CPU, t.Memory, t.Storage, t.GPU)
		for _, u := range g.Units {
			fmt.Fprintf(&out, "\n  unit %d × %d", u.Resources.ID, u.Count)
			for _, v := range u.Resources.Storage {
				fmt.Fprintf(&out, " %s%v", v.Name, v.Attributes)
			}
			for _, e := range u.Resources.Endpoints {
				fmt.Fprintf(&out, " %v:%d", e.Kind, e.Sequence)
			}
			for _, a := range u.Resources.GPU.Attributes {
				fmt.Fprintf(&out, " %s", a.Key)
			}
		}
		for _, svc := range s.Manifest[i].Services {
			fmt.Fprintf(&out, "\n  %s %s × %d", svc.Name, svc.Image, svc.Count)
		}
	}
	return out.String()
}

// TestScale compares with what 64-bit floating point makes of the same text,
// which is what manifests elsewhere were hashed with.
func TestScale(t *testing.T) {
	for _, c := range []struct {
		number string
		factor uint64
		want   uint64
	}{
		{"1.001", 1000, 1000}, // the double nearest to 1.001 lies below it
		{"0.29", 1000, 290},
		{"4.35", 100, 434},
		{"0.1", 1 << 30, 107374182},
		{"2.5", 1 << 30, 2684354560},
		{"1e3", 1 << 20, 1048576000},
		{"9007199254740993", 1, 9007199254740992}, // 2⁵³+1 is no double
		{".5", 10, 5},
		{"5.", 10, 50},
		{"+7", 1, 7},
		{"-0", 1, 0},
	} {
		if got, fault := scale(c.number, c.factor); got != c.want || fault != "" {
			t.Errorf("scale(%q, %d) = %d, %q; want %d", c.number, c.factor, got, fault, c.want)
		}
	}
	for _, number := range []string{"", ".", "-1", "1e999999999", "1e41", "inf", "nan", "0x10", "1_000", "1/2", "--1", "1.2.3", "1e", strings.Repeat("9", 41), "1e30"} {
		if got, fault := scale(number, 1); fault == "" {
			t.Errorf("scale(%q) = %d, want a refusal", number, got)
		}
	}
}

// TestVolumeOrder holds that our sort treats the order that is none, of volumes
// that do not persist, as sort.SliceStable does, on which hashes hang.
func TestVolumeOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		kinds := []market.Attributes{
			nil,
			{{Key: "persistent", Value: "false"}},
			{{Key: "class", Value: "beta2"}, {Key: "persistent", Value: "true"}},
		}
		ours := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) market.Volume {
			return market.Volume{
				Name:       rapid.StringMatching("[a-z]{6}").Draw(t, "name"),
				Size:       market.Quantity(rapid.Uint64Range(1, 3).Draw(t, "size")),
				Attributes: rapid.SampledFrom(kinds).Draw(t, "kind"),
			}
		}), 0, 60).Draw(t, "volumes")
		theirs := slices.Clone(ours)
		sort.SliceStable(theirs, func(i, j int) bool { return compareVolumes(theirs[i], theirs[j]) < 0 })
		slices.SortStableFunc(ours, compareVolumes)
		for i := range ours {
			if ours[i].Name != theirs[i].Name {
				t.Fatalf("place %d of %d: %v, want %v", i, len(ours), ours[i], theirs[i])
			}
		}
	})
}

func TestDuration(t *testing.T) {
	for text, want := range map[string]market.Seconds{
		"1s": 1, "24h": 86400, "1h30m": 5400, "1.5h": 5400, "90m": 5400, "1ms": 1, "1500ms": 2, "1h0m0s": 3600, "+5m": 300,
	} {
		r := &reader{}
		if got := r.window(scalar(text)); got != want || len(r.problems) > 0 {
			t.Errorf("window %q = %d, %v; want %d", text, got, r.problems, want)
		}
	}
	for _, text := range []string{"", "0", "0s", "-5m", "5", "5 m", "h", "abc", "1d", "9999999h9999999h", "1e5h", "1h-5m", strings.Repeat("1h", 10)} {
		r := &reader{}
		if got := r.window(scalar(text)); len(r.problems) == 0 {
			t.Errorf("window %q = %d, want a refusal", text, got)
		}
	}
}

// TestScalars reads truths and numbers in all of YAML's spellings.
func TestScalars(t *testing.T) {
	src := func(field string) string {
		return strings.Replace(small, "[{port: 80, to: [{global: true}]}]", "[{"+field+", to: [{global: true}]}]", 1)
	}
	for field, port := range map[string]uint32{
		"port: 80": 80, "port: 0x50": 80, "port: 0o120": 80, "port: 1_000": 1000, "port: !!int \"80\"": 80,
	} {
		s, err := Parse([]byte(src(field)))
		if err != nil || s.Manifest[0].Services[0].Expose[0].Port != port {
			t.Errorf("%s: %v", field, err)
		}
	}
	for _, field := range []string{"port: 80.0", "port: -1", "port: 4294967296", "port: [80]", "port: eighty", "port: !!binary ODA="} {
		if _, err := Parse([]byte(src(field))); err == nil {
			t.Errorf("%s was accepted", field)
		}
	}
	for text, want := range map[string]bool{"true": true, "True": true, "yes": true, "ON": true, "y": true, "no": false, "off": false, "false": false, "~": false} {
		s, err := Parse([]byte(strings.Replace(small, "{global: true}", "{global: true}, {service: web, global: "+text+"}", 1)))
		if err != nil {
			t.Errorf("global: %s: %v", text, err)
			continue
		}
		if e := s.Manifest[0].Services[0].Expose; e[1].Service != "web" || e[1].Global != want {
			t.Errorf("global: %s = %+v", text, e)
		}
	}
	for _, text := range []string{"1", `"true"`, "[true]", "truth"} {
		if _, err := Parse([]byte(strings.Replace(small, "global: true", "global: "+text, 1))); err == nil {
			t.Errorf("global: %s was accepted", text)
		}
	}
}

// TestWhole holds what is wrong with a file as a whole.
func TestWhole(t *testing.T) {
	for _, c := range []struct{ name, old, with, want string }{
		{"not open", "global: true", "service: web", "1: no service is open to the world; write global: true under one of its to"},
		{"not deployed", "  web: {west: {profile: small, count: 1}}", "", "1: deployment is empty: nothing would run"},
		{"no placement", "{west: {profile: small, count: 1}}", "{}", "1: deployment is empty: nothing would run"},
		{"no service", "services:\n  web:", "endpoints:\n  web:", `deployment.web: there is no service "web"`},
		{
			"no resources", "{resources: {cpu: {units: 1}, memory: {size: 1Gi}, storage: {size: 1Gi}}}", "~",
			"6:5: profiles.compute.small: cpu of 0 thousandths of a core is outside of 10 to 384000",
		},
		{"no storage", ", storage: {size: 1Gi}", "", "6:5: profiles.compute.small: storage is missing"},
		{
			"gpus in words only", "cpu: {units: 1}", "cpu: {units: 1}, gpu: {units: 0, attributes: {vendor: {nvidia: }}}",
			"6:5: profiles.compute.small: gpu has attributes but 0 units",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			if !strings.Contains(small, c.old) {
				t.Fatalf("%q does not stand in the file", c.old)
			}
			_, err := Parse([]byte(strings.Replace(small, c.old, c.with, 1)))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Parse = %v, want %s", err, c.want)
			}
		})
	}
}

// TestLimits feeds what costs much and is worth nothing.
func TestLimits(t *testing.T) {
	nested := strings.Repeat("[", 100) + strings.Repeat("]", 100)
	wide := "version: \"2.0\"\ninclude: [" + strings.Repeat("x,", maxNodes) + "x]\n"
	long := "version: \"2.0\"\nservices: &s \"" + strings.Repeat("x", 200<<10) + "\"\ninclude: [*s, *s, *s, *s, *s, *s]\n"
	for _, c := range []struct{ name, src, want string }{
		{"size", strings.Repeat("#", MaxSize+1), "at most 262144 are read"},
		{"depth", "version: " + nested, "nested deeper than 32 levels"},
		{"width", wide, "more than 20000 values"},
		{"text", long, "more than 1048576 bytes of text"},
		{"cycle", "version: &a [*a]\n", "nested deeper than 32 levels"},
		{"merge cycle", "services: &a\n  <<: *a\n", "nested deeper than 32 levels"},
		{"copies", copies(400), "the manifest would be too large"},
		{"empty", "", "the file is empty"},
		{"comment", "# nothing\n", "the file is empty"},
		{"scalar", "hello", "a map is wanted here"},
		{"documents", "version: \"2.0\"\n---\nversion: \"2.0\"\n", "one SDL per file"},
		{"tab", "a:\n\t- b\n", "this is no YAML"},
		{"bytes", "\xff\xfe\x00", "this is no YAML"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse([]byte(c.src))
			var refused *Error
			if !errors.As(err, &refused) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Parse = %.200v, want %q", err, c.want)
			}
		})
	}
}

// copies returns a file with one large service in n placements, each of which
// would hold it in full.
func copies(n int) string {
	var places, runs strings.Builder
	for i := range n {
		fmt.Fprintf(&places, "    p%d: {pricing: {small: {denom: nplx, amount: 1}}}\n", i)
		fmt.Fprintf(&runs, "    p%d: {profile: small, count: 1}\n", i)
	}
	src := strings.Replace(small, "image: nginx", "image: nginx, env: ["+strings.Repeat("A=b,", 5000)+"]", 1)
	head, _, _ := strings.Cut(src, "    west:")
	return head + places.String() + "deployment:\n  web:\n" + runs.String()
}

// FuzzParse holds that no input panics or hangs, that a refusal says where and
// why, and that what is accepted is valid and hashes the same twice.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		small, "", "version: 2", "a: &a [*a]", "? [a]\n: b", "<<: {version: '2.0'}",
		"version: '2.1'\nservices: {a: {<<: [{image: x}, {env: [A=1]}]}}",
	} {
		f.Add([]byte(seed))
	}
	files, _ := filepath.Glob("../../../shared/vectors/sdl/*.y*ml") // where they are, for a better start
	for _, file := range files {
		if src, err := os.ReadFile(file); err == nil {
			f.Add(src)
		}
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		s, err := Parse(src)
		if err != nil {
			var refused *Error
			if !errors.As(err, &refused) || len(refused.Problems) == 0 {
				t.Fatalf("refusal without a problem: %v", err)
			}
			for _, p := range refused.Problems {
				if p.Line < 1 || p.Text == "" {
					t.Fatalf("problem without a place or a text: %+v", p)
				}
			}
			return
		}
		if err := s.Manifest.Check(s.Groups); err != nil {
			t.Fatalf("accepted, but the manifest does not match: %v", err)
		}
		again, err := Parse(src)
		if err != nil || again.Manifest.Hash() != s.Manifest.Hash() {
			t.Fatalf("parsed again: %v", err)
		}
	})
}

const small = `version: "2.0"
services:
  web: {image: nginx, expose: [{port: 80, to: [{global: true}]}]}
profiles:
  compute:
    small: {resources: {cpu: {units: 1}, memory: {size: 1Gi}, storage: {size: 1Gi}}}
  placement:
    west: {pricing: {small: {denom: nplx, amount: 1}}}
deployment:
  web: {west: {profile: small, count: 1}}
`

// BenchmarkParse measures a small file, manifest's hash included.
func BenchmarkParse(b *testing.B) {
	for b.Loop() {
		s, err := Parse([]byte(small))
		if err != nil {
			b.Fatal(err)
		}
		s.Manifest.Hash()
	}
}

// scalar returns the place of a text that stands alone.
func scalar(text string) node {
	return at(&yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: text, Line: 1, Column: 1}, "")
}

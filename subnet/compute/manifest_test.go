package compute

import (
	"os"
	"strings"
	"testing"

	"github.com/plexus-network/plexus/market"
)

var image = "registry.example/probe@sha256:" + strings.Repeat("ab", 32)

func TestManifest(t *testing.T) {
	for params, want := range map[string]string{
		`{"max_price_nplx":100}`: "",
		`{"max_price_nplx":100,"image":"` + image + `","volume_mib":512}`: "",
		``:                                      "EOF",
		`[]`:                                    "cannot unmarshal",
		`{}`:                                    "max_price_nplx is 0, 1 to 10000000 are allowed",
		`{"max_price_nplx":100} {}`:             "more than one JSON value",
		`{"max_price_nplx":100,"cpus":1}`:       `unknown field "cpus"`,
		`{"max_price_nplx":100,"cpu_milli":50}`: "cpu_milli is 50, 100 to 64000 are allowed",
		`{"max_price_nplx":100,"memory_mib":1}`: "memory_mib is 1, 64 to 65536",
		`{"max_price_nplx":100,"volume_mib":9}`: "volume_mib is 9",
		`{"max_price_nplx":100,"class":"ram"}`:  `class is "ram"`,
		`{"max_price_nplx":100,"most":21}`:      "most is 21",
		`{"max_price_nplx":100,"every_s":60,"keep_s":31}`:                               "keep_s is 31, at most half of every_s, 30",
		`{"max_price_nplx":100,"image":"nginx:latest"}`:                                 "a reference by digest is wanted",
		`{"max_price_nplx":100,"image":"a\nb@sha256:` + strings.Repeat("ab", 32) + `"}`: "a reference by digest is wanted",
		strings.Repeat(" ", maxManifest+1):                                              "at most 16384 are allowed",
	} {
		_, err := ParseManifest([]byte(params))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%.80s: %v, want %q", params, err, want)
		}
	}
}

func TestExampleManifest(t *testing.T) {
	text, err := os.ReadFile("../../docs/examples/compute.json")
	if err != nil {
		t.Fatal(err)
	}
	m, err := ParseManifest(text)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.newProbe(image, m.Most, "key"); err != nil {
		t.Error(err)
	}
}

func TestProbeIsWhatTheManifestSays(t *testing.T) {
	m := Manifest{MaxPrice: 1234, Volume: 256}.withDefaults()
	names := map[string]bool{}
	for services := 1; services <= 20; services++ {
		p, err := m.newProbe(image, services, "secret")
		if err != nil {
			t.Fatal(err)
		}
		if len(p.file.Warnings) > 0 {
			t.Errorf("warnings: %v", p.file.Warnings)
		}
		g := p.file.Groups
		if len(g) != 1 || len(p.file.Manifest[0].Services) != services || len(p.names) != services {
			t.Fatalf("%d services became %+v", services, p.file)
		}
		total := g[0].Totals()
		if int(total.CPU) != services*m.CPU || uint64(total.Memory) != uint64(services*m.Memory)<<20 {
			t.Errorf("%d services ask for %+v", services, total)
		}
		if price := g[0].Price(); price.Amount.Compare(market.Whole(market.Amount(services*1234))) != 0 {
			t.Errorf("%d services cost %v", services, price)
		}
		for _, s := range p.file.Manifest[0].Services {
			names[s.Name] = true
			if s.Image != image || !strings.Contains(strings.Join(s.Env, " "), "KEY=secret") {
				t.Errorf("a service %+v", s)
			}
		}
	}
	if len(names) < 20 {
		t.Errorf("services are called %v, and no others", names)
	}
}

func TestValidatorNeedsAnImage(t *testing.T) {
	for image, want := range map[string]string{"": "names no image", "x:latest": "by digest"} {
		if _, err := New(Manifest{MaxPrice: 1}, Options{Renter: &world{}, Image: image}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("image %q: %v, want %q", image, err, want)
		}
	}
}

func FuzzManifest(f *testing.F) {
	f.Add([]byte(`{"max_price_nplx":100,"cpu_milli":1500,"volume_mib":64}`))
	f.Fuzz(func(t *testing.T, params []byte) {
		m, err := ParseManifest(params)
		if err != nil {
			return
		}
		if _, err := m.newProbe(image, m.Most, "key"); err != nil {
			t.Errorf("%s: %v", params, err)
		}
	})
}

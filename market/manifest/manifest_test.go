package manifest

import (
	"errors"
	"slices"
	"sort"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/plexus-network/plexus/market"
)

func resources(id uint32, endpoints ...market.Endpoint) market.Resources {
	return market.Resources{
		ID: id, CPU: market.CPU{Units: 100}, Memory: market.Memory{Size: 1 << 20},
		Storage: []market.Volume{{Name: "default", Size: 5 << 20}}, Endpoints: endpoints,
	}
}

// web returns a manifest of two services, and the groups on the chain.
func web() (Manifest, []market.GroupSpec) {
	http, port, ip := market.Endpoint{}, market.Endpoint{Kind: market.RandomPort}, market.Endpoint{Kind: market.LeasedIP, Sequence: 1}
	m := Manifest{{Name: "west", Services: []Service{
		{Name: "api", Image: "api", Env: []string{"A=1"}, Count: 1, Resources: resources(1, port, ip), Expose: []Expose{
			{Port: 53, Proto: "UDP", Global: true, IP: "front", Sequence: 1},
		}},
		{Name: "web", Image: "web", Count: 2, Resources: resources(1, http), Expose: []Expose{
			{Port: 8080, ExternalPort: 80, Proto: "TCP", Global: true, Hosts: []string{"a.example"}},
			{Port: 9000, Proto: "TCP", Service: "api"},
		}},
	}}}
	groups := []market.GroupSpec{{Name: "west", Units: []market.ResourceUnit{
		{Resources: resources(1, port, http, ip), Count: 3},
	}}}
	return m, groups
}

func TestCheck(t *testing.T) {
	m, groups := web()
	if err := m.Check(groups); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		edit func(m Manifest, groups []market.GroupSpec)
		kind error
		want string
	}{
		{"name", func(m Manifest, _ []market.GroupSpec) { m[0].Services[0].Name = "1api" }, ErrInvalid, "begins with a letter"},
		{"no name", func(m Manifest, _ []market.GroupSpec) { m[0].Services[0].Name = "" }, ErrInvalid, "begins with a letter"},
		{"dash", func(m Manifest, _ []market.GroupSpec) { m[0].Services[0].Name = "api-" }, ErrInvalid, "does not end in -"},
		{"order", func(m Manifest, _ []market.GroupSpec) { m[0].Services[0].Name = "zzz" }, ErrInvalid, "not sorted"},
		{"image", func(m Manifest, _ []market.GroupSpec) { m[0].Services[0].Image = "" }, ErrInvalid, "image is missing"},
		{"env", func(m Manifest, _ []market.GroupSpec) { m[0].Services[0].Env = []string{"..A=1"} }, ErrInvalid, `"..A"`},
		{"no env", func(m Manifest, _ []market.GroupSpec) { m[0].Services[0].Env = []string{"=1"} }, ErrInvalid, "environment variable"},
		{"cpu", func(m Manifest, _ []market.GroupSpec) { m[0].Services[0].Resources.CPU.Units = 1 }, ErrInvalid, "cpu of 1"},
		{"port 0", func(m Manifest, _ []market.GroupSpec) { m[0].Services[0].Expose[0].Port = 0 }, ErrInvalid, "ports go from 1"},
		{"port", func(m Manifest, _ []market.GroupSpec) { m[0].Services[0].Expose[0].Port = 65536 }, ErrInvalid, "ports go from 1"},
		{"as", func(m Manifest, _ []market.GroupSpec) { m[0].Services[0].Expose[0].ExternalPort = 65536 }, ErrInvalid, "ports go from 1"},
		{"proto", func(m Manifest, _ []market.GroupSpec) { m[0].Services[0].Expose[0].Proto = "udp" }, ErrInvalid, "neither TCP nor UDP"},
		{"host", func(m Manifest, _ []market.GroupSpec) { m[0].Services[1].Expose[0].Hosts[0] = "a_b" }, ErrInvalid, "hostname"},
		{"long host", func(m Manifest, _ []market.GroupSpec) {
			m[0].Services[1].Expose[0].Hosts[0] = strings.Repeat("a.", 127)
		}, ErrInvalid, "at most 253"},
		{"host twice", func(m Manifest, _ []market.GroupSpec) {
			m[0].Services[0].Expose[0].Hosts = []string{"a.example"}
		}, ErrInvalid, "accepted twice"},
		{"exposes", func(m Manifest, _ []market.GroupSpec) {
			e := m[0].Services[1].Expose
			e[0], e[1] = e[1], e[0]
		}, ErrInvalid, "not sorted"},
		{"closed", func(m Manifest, _ []market.GroupSpec) {
			m[0].Services[0].Expose[0].Global, m[0].Services[1].Expose[0].Global = false, false
		}, ErrInvalid, "open to the world"},
		{"no services", func(m Manifest, _ []market.GroupSpec) { m[0].Services = nil }, ErrInvalid, "no services"},
		{"other group", func(m Manifest, _ []market.GroupSpec) { m[0].Name = "east" }, ErrMismatch, `no group "east"`},
		{"other unit", func(m Manifest, _ []market.GroupSpec) { m[0].Services[0].Resources.ID = 2 }, ErrMismatch, "unit 2"},
		{"other memory", func(m Manifest, _ []market.GroupSpec) { m[0].Services[0].Resources.Memory.Size++ }, ErrMismatch, "differ"},
		{"more replicas", func(m Manifest, _ []market.GroupSpec) { m[0].Services[1].Count = 3 }, ErrMismatch, "only 2 are left"},
		{"fewer replicas", func(m Manifest, _ []market.GroupSpec) { m[0].Services[1].Count = 1 }, ErrMismatch, "1 replicas are used by no service"},
		{"more http", func(_ Manifest, g []market.GroupSpec) {
			g[0].Units[0].Resources.Endpoints = g[0].Units[0].Resources.Endpoints[:1]
		}, ErrMismatch, "one more"},
		{"fewer ports", func(m Manifest, _ []market.GroupSpec) { m[0].Services[0].Expose[0].Global = false }, ErrMismatch, "RANDOM_PORT endpoints are used by no service"},
		{"no address", func(m Manifest, _ []market.GroupSpec) { m[0].Services[0].Expose[0].IP = "" }, ErrMismatch, "LEASED_IP endpoints are used by no service"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, groups := web()
			c.edit(m, groups)
			if err := m.Check(groups); !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Check = %v, want %v with %q", err, c.kind, c.want)
			}
		})
	}
	if err := m.Check(nil); !errors.Is(err, ErrMismatch) {
		t.Errorf("no groups: %v", err)
	}
	if err := (Manifest{}).Validate(); !errors.Is(err, ErrInvalid) {
		t.Errorf("an empty manifest: %v", err)
	}
	if err := append(m, m[0]).Validate(); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "two groups") {
		t.Errorf("a group twice: %v", err)
	}
}

// TestHash has a hash that another program computed from the canonical text.
func TestHash(t *testing.T) {
	m, _ := web()
	m[0].Services = m[0].Services[:1]
	m[0].Services[0].Env = []string{"A=<&>\u2028é"}
	text, err := m.Canonical()
	if err != nil {
		t.Fatal(err)
	}
	want := `[{"name":"west","services":[{"args":null,"command":null,"count":1,"credentials":null,` +
		`"env":["A=\u003c\u0026\u003e\u2028é"],"expose":[{"endpointSequenceNumber":1,"externalPort":0,"global":true,"hosts":null,` +
		`"httpOptions":{"maxBodySize":0,"nextTimeout":0,"nextTries":0,"readTimeout":0,"sendTimeout":0},"ip":"front","port":53,` +
		`"proto":"UDP","service":""}],"image":"api","name":"api","resources":{"cpu":{"units":{"val":"100"}},` +
		`"endpoints":[{"kind":1,"sequence_number":0},{"kind":2,"sequence_number":1}],"gpu":{"units":{"val":"0"}},"id":1,` +
		`"memory":{"size":{"val":"1048576"}},"storage":[{"name":"default","size":{"val":"5242880"}}]}}]}]`
	if string(text) != want {
		t.Errorf("canonical text\n%s\nwant\n%s", text, want)
	}
	if got := m.Hash().String(); got != "8d51c91e8f0f0efc8a33f211dd7da37dfa90af9a4603d76ce90ffdae5a7ad428" {
		t.Errorf("hash %s", got)
	}
	m[0].Services[0].Args = []string{}
	if empty, _ := m.Canonical(); !strings.Contains(string(empty), `"args":[]`) {
		t.Errorf("no arguments and none given are one: %s", empty)
	}
}

func TestParse(t *testing.T) {
	m, groups := web()
	text, err := m.Canonical()
	if err != nil {
		t.Fatal(err)
	}
	back, err := Parse(text)
	if err != nil || back.Hash() != m.Hash() {
		t.Fatalf("read back with hash %v, want %v: %v", back.Hash(), m.Hash(), err)
	}
	if err := back.Check(groups); err != nil {
		t.Error(err)
	}
	for name, c := range map[string]struct{ text, want string }{
		"empty":     {"", "EOF"},
		"no list":   {"{}", "cannot unmarshal"},
		"stranger":  {`[{"name":"a","nick":"b"}]`, `unknown field "nick"`},
		"follow-up": {`[] []`, "something follows"},
		"rest":      {`[] x`, "invalid character"},
		"number":    {`[{"services":[{"count":-1}]}]`, "cannot unmarshal"},
		"quantity":  {`[{"services":[{"resources":{"memory":{"size":{"val":"1e3"}}}}]}]`, "no whole number"},
		"objects":   {"[" + strings.Repeat("{},", maxObjects) + "{}]", "more than 200000 objects"},
		"size":      {strings.Repeat(" ", MaxSize+1), "at most 8388608"},
		"depth":     {strings.Repeat("[", 100_000), "depth"},
	} {
		if _, err := Parse([]byte(c.text)); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: Parse = %.200v, want %q", name, err, c.want)
		}
	}
}

// FuzzParse holds that what is read has one hash, however often it is written
// and read, and that checking it does not panic.
func FuzzParse(f *testing.F) {
	m, groups := web()
	text, _ := m.Canonical()
	f.Add(text)
	f.Add([]byte(`[{"name":"a","services":null}]`))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := Parse(text)
		if err != nil {
			return
		}
		canonical, err := m.Canonical()
		if err != nil {
			t.Fatal(err)
		}
		back, err := Parse(canonical)
		if err != nil || back.Hash() != m.Hash() {
			t.Fatalf("%s\nwas read back with another hash: %v", canonical, err)
		}
		if m.Check(groups) == nil && m.Validate() != nil {
			t.Fatal("an invalid manifest matches")
		}
	})
}

// byAkash sorts as Akash does: with sort.Sort, which is not stable. The hash of a
// manifest with many like exposes hangs on what it does with ties.
type byAkash []Expose

func (s byAkash) Len() int           { return len(s) }
func (s byAkash) Swap(i, j int)      { s[i], s[j] = s[j], s[i] }
func (s byAkash) Less(i, j int) bool { return compareExpose(s[i], s[j]) < 0 }

func TestSortExpose(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ours := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Expose {
			return Expose{
				Service: rapid.SampledFrom([]string{"", "a"}).Draw(t, "service"), Port: rapid.Uint32Range(1, 3).Draw(t, "port"),
				Proto: "TCP", Global: rapid.Bool().Draw(t, "global"), IP: rapid.StringMatching("[a-z]{8}").Draw(t, "tag"),
			}
		}), 0, 120).Draw(t, "exposes")
		theirs := byAkash(slices.Clone(ours))
		sort.Sort(theirs)
		SortExpose(ours)
		for i := range ours {
			if ours[i].IP != theirs[i].IP {
				t.Fatalf("place %d of %d: %+v, want %+v", i, len(ours), ours[i], theirs[i])
			}
		}
	})
}

package price

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/plexus-network/plexus/market"
)

func exact(t testing.TB, s string) market.Exact {
	t.Helper()
	e, err := market.ParseExact(s)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func group(t testing.TB) market.GroupSpec {
	return market.GroupSpec{Name: "g", Units: []market.ResourceUnit{{
		Count: 2, Price: market.Price{Denom: "nplx", Amount: exact(t, "1000")},
		Resources: market.Resources{
			ID: 1, CPU: market.CPU{Units: 500}, Memory: market.Memory{Size: 64<<20 + 1},
			Storage: []market.Volume{
				{Name: "default", Size: 10 << 20},
				{Name: "fast", Size: 20 << 20, Attributes: market.Attributes{{Key: "class", Value: "beta3"}, {Key: "persistent", Value: "true"}}},
				{Name: "shm", Size: 1 << 20, Attributes: market.Attributes{{Key: "class", Value: "ram"}, {Key: "persistent", Value: "false"}}},
			},
			Endpoints: []market.Endpoint{{}},
		},
	}}}
}

func TestScale(t *testing.T) {
	s := Scale{
		CPU: exact(t, "0.1"), Memory: exact(t, "1"), Storage: exact(t, "0.5"), Endpoint: exact(t, "3"),
		Classes: map[string]market.Exact{"beta3": exact(t, "2")},
	}
	got, err := s.Price(t.Context(), "plx1", group(t))
	// Two replicas of 50 + 65 + 5 + 40 + 1, and an endpoint.
	if want := exact(t, "325"); err != nil || got != want {
		t.Errorf("got %v, %v; want %v", got, err, want)
	}
	if _, err := (Scale{}).Price(t.Context(), "plx1", group(t)); !errors.Is(err, ErrPrice) {
		t.Errorf("rates of 0: %v", err)
	}
	s.CPU = exact(t, "340282366920938463463")
	if _, err := s.Price(t.Context(), "plx1", group(t)); !errors.Is(err, ErrPrice) {
		t.Errorf("rates beyond all money: %v", err)
	}
	if p, err := DefaultScale().Price(t.Context(), "plx1", group(t)); err != nil || p.IsZero() {
		t.Errorf("default scale: %v, %v", p, err)
	}
}

func TestScaleOfGPUsAndAddresses(t *testing.T) {
	s := Scale{GPU: exact(t, "10"), Models: map[string]market.Exact{"h100": exact(t, "40"), "t4": exact(t, "2")}, Endpoint: exact(t, "3"), IP: exact(t, "1000")}
	gpus := func(models ...string) market.GroupSpec {
		u := market.ResourceUnit{Count: 2, Resources: market.Resources{ID: 1, GPU: market.GPU{Units: 3}}}
		for _, m := range models {
			u.Resources.GPU.Attributes = append(u.Resources.GPU.Attributes, market.Attribute{Key: "vendor/nvidia/model/" + m, Value: "true"})
		}
		return market.GroupSpec{Units: []market.ResourceUnit{u}}
	}
	addresses := gpus()
	addresses.Units[0].Resources.GPU.Units = 0
	addresses.Units[0].Resources.Endpoints = []market.Endpoint{{Kind: market.LeasedIP, Sequence: 1}, {Kind: market.RandomPort}, {Kind: market.LeasedIP, Sequence: 1}, {Kind: market.RandomPort}}
	for name, c := range map[string]struct {
		group market.GroupSpec
		want  string
	}{
		"a model with a price":   {gpus("h100/ram/80Gi/interface/sxm"), "240"},
		"a cheap one":            {gpus("t4/ram/16Gi"), "12"},
		"a model without":        {gpus("a100"), "60"},
		"the dearest of several": {gpus("t4", "h100"), "240"},
		"any":                    {gpus(), "60"},
		"one address, two ways":  {addresses, "1006"},
	} {
		if got, err := s.Price(t.Context(), "plx1", c.group); err != nil || got != exact(t, c.want) {
			t.Errorf("%s: %v, %v, want %s", name, got, err, c.want)
		}
	}
}

func script(t *testing.T, text string, limit time.Duration) *Script {
	t.Helper()
	file := filepath.Join(t.TempDir(), "price")
	if err := os.WriteFile(file, []byte("#!/bin/sh\n"+text), 0o755); err != nil {
		t.Fatal(err)
	}
	return NewScript([]string{file}, limit)
}

func TestScriptReadsTheOrder(t *testing.T) {
	file := filepath.Join(t.TempDir(), "asked")
	s := script(t, "cat >"+file+"\necho $PLEXUS_OWNER $PLEXUS_DENOM >>"+file+"\necho 12.5\n", 0)
	got, err := s.Price(t.Context(), "plx1tenant", group(t))
	if err != nil || got != exact(t, "12.5") {
		t.Fatalf("got %v, %v", got, err)
	}
	asked, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"memory":67108865`, `"cpu":500`, `"count":2`, `"endpoint_quantity":1`, `{"class":"beta3","size":20971520}`,
		`{"class":"ephemeral","size":10485760}`, `{"class":"ram","size":1048576}`, `"amount":"2000.000000000000000000"`, "plx1tenant nplx",
	} {
		if !strings.Contains(string(asked), want) {
			t.Errorf("the script was not told %s in %s", want, asked)
		}
	}
}

func TestScriptThatMisbehaves(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want string
	}{
		"fails":         {"echo no room >&2; exit 3", "no room"},
		"prints_words":  {"echo cheap", "no decimal"},
		"prints_zero":   {"echo 0", "printed 0"},
		"prints_much":   {"yes", "4 KiB"},
		"takes_forever": {"sleep 600 & wait", "took longer than"},
	} {
		t.Run(name, func(t *testing.T) {
			limit := time.Minute
			if name == "takes_forever" {
				limit = 200 * time.Millisecond
			}
			_, err := script(t, c.text, limit).Price(t.Context(), "plx1", group(t))
			if !errors.Is(err, ErrPrice) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	if _, err := NewScript([]string{"/does/not/exist"}, 0).Price(t.Context(), "plx1", group(t)); !errors.Is(err, ErrPrice) {
		t.Errorf("a program that is not there: %v", err)
	}
}

package provider

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestDashboardShowsFiguresThatExist holds docs/grafana/provider.json to the
// figures that a provider has.
func TestDashboardShowsFiguresThatExist(t *testing.T) {
	text, err := os.ReadFile("../docs/grafana/provider.json")
	if err != nil {
		t.Fatal(err)
	}
	code, err := os.ReadFile("figures.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range regexp.MustCompile(`plexus_provider_(\w+)`).FindAllStringSubmatch(string(text), -1) {
		figure := strings.TrimSuffix(name[1], "_bucket")
		if !strings.Contains(string(code), `"`+figure+`"`) {
			t.Errorf("the dashboard shows %s, which no provider tells", name[0])
		}
	}
}

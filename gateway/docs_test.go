package gateway

import (
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestDocumentedExamplesWork runs the commands of docs/api.md as they stand,
// but for the address.
func TestDocumentedExamplesWork(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("there is no curl")
	}
	page, err := os.ReadFile("../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	g := open(t, fakes(honest("Hello", " you")), Limits{})
	m := g.models[0]
	m.Name, m.Embedder, m.Scorer = "plexus-4m", wordy{}, knowing{}
	srv := httptest.NewServer(g.Handler())
	defer srv.Close()

	blocks := strings.Split(string(page), "```sh\n")[1:]
	if len(blocks) < 7 {
		t.Errorf("%d examples, want one of each dialect", len(blocks))
	}
	for _, b := range blocks {
		b, _, _ = strings.Cut(b, "```")
		script := strings.ReplaceAll(strings.ReplaceAll(b, "http://127.0.0.1:8080", srv.URL), "curl ", "curl -sS --fail-with-body ")
		out, err := exec.CommandContext(t.Context(), "sh", "-ec", script).CombinedOutput()
		if err != nil || len(out) < 20 {
			t.Errorf("%s\nfails: %v\n%s", b, err, out)
		}
	}
}

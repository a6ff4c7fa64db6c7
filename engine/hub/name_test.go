package hub_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/plexus-network/plexus/engine/hub"
	"github.com/plexus-network/plexus/engine/stock"
)

func TestTheTokenIsForTheHubAlone(t *testing.T) {
	h := newHub(t)
	want := model(t, stock.Weak)
	h.files["m.gguf"], h.token = want, "hf_secret"
	o := h.options(t, "org/repo:m")
	refused(t, o, "401", "HF_TOKEN", "settings/tokens")
	o.Token = "hf_wrong"
	refused(t, o, "401", "the token in HF_TOKEN is not good")
	o.Token = "hf_secret"
	fetch(t, o, want)
	if len(h.leaked) > 0 {
		t.Errorf("the token reached the CDN: %q", h.leaked)
	}
	o.Base = "http://hub.example.org"
	refused(t, o, "use https")
}

func TestWhatIsNotThereIsSaid(t *testing.T) {
	h := newHub(t)
	h.files["m.gguf"] = model(t, stock.Weak)
	refused(t, h.options(t, "org/repo/none.gguf"), "404", "has no file none.gguf", "plexus model fetch org/repo")
	refused(t, h.options(t, "org/repo/m.gguf@v9"), "no revision v9")
	refused(t, h.options(t, "org/none/m.gguf"), "404", "check the name")
	h.gated = true
	refused(t, h.options(t, "org/repo/m.gguf"), "403", "accept them at "+h.URL+"/org/repo")
}

func TestAQuantisationPicksTheOneFileThatHasIt(t *testing.T) {
	h := newHub(t)
	want := model(t, stock.Weak)
	for _, name := range []string{"m-BF16.gguf", "m-Q4_K_M.gguf", "m-Q4_K_S.gguf", "q8/m.Q8_0.gguf", "mmproj-F16.gguf", "big-Q2_K-00001-of-00002.gguf"} {
		h.files[name] = []byte("another")
	}
	h.files["m-F16.gguf"] = want
	fetch(t, h.options(t, "org/repo:f16@refs/pr/1"), want)
	refused(t, h.options(t, "org/repo:Q4_K"), "2 files of org/repo fit", "org/repo/m-Q4_K_M.gguf (7 bytes)", "org/repo/m-Q4_K_S.gguf")
	refused(t, h.options(t, "org/repo:Q5_0"), "no file of org/repo is Q5_0", "org/repo/q8/m.Q8_0.gguf")
	refused(t, h.options(t, "org/repo"), "choose one")
	refused(t, h.options(t, "org/repo:Q2_K"), "split over several files")

	entries, err := hub.List(t.Context(), h.options(t, "org/repo"))
	if err != nil || len(entries) != 7 || entries[2].SHA256 != sum(want) {
		t.Errorf("the list is %+v, %v", entries, err)
	}
	empty := newHub(t)
	refused(t, empty.options(t, "org/repo"), "holds no .gguf files")
}

func TestNamesAreChecked(t *testing.T) {
	for _, bad := range []string{
		"", "m.gguf", "org/", "/repo", "org/repo/", "org/repo:", "org/repo@", "org/repo/../x.gguf", "org/repo/a//b.gguf",
		"org/..", "org/repo/README.md", "org/repo/m.gguf@../x", "org/repo/.hidden.gguf", "org/repo/a\\b.gguf", "org/re po/m.gguf",
		"ftp://host/m.gguf", "https:///m.gguf", "https://user:word@host/m.gguf", "https://host/",
		"https://host/m%00.gguf", "org/repo:Q8/x", "org/repo/" + strings.Repeat("x", 300) + ".gguf", strings.Repeat("x", 2000),
	} {
		if n, err := hub.Parse(bad); err == nil {
			t.Errorf("%.60q is taken for %+v", bad, n)
		}
	}
	both := hub.Options{Name: hub.Name{Repo: "org/repo", File: "m.gguf", Quant: "Q8_0"}}
	if _, err := hub.Fetch(t.Context(), both); err == nil {
		t.Error("a file and a quantisation are taken together")
	}
	digest := hub.Options{Name: hub.Name{Repo: "org/repo"}, SHA256: "12"}
	if _, err := hub.Fetch(t.Context(), digest); err == nil || errors.Is(err, hub.ErrHash) {
		t.Errorf("a short sha256 gives %v", err)
	}
}

// FuzzParse holds that whatever Parse takes stays in its folder and is written
// as it is read.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"org/repo/m.gguf", "org/repo:Q8_0@v1", "org/repo", "https://host/a/m.gguf?x=1#y", "org/repo/a/b c.gguf@refs/pr/1", "a/b:../c"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := hub.Parse(s)
		if err != nil {
			return
		}
		if again, err := hub.Parse(n.String()); err != nil || again != n {
			t.Fatalf("%q is read as %+v, and that as %+v, %v", s, n, again, err)
		}
		if n.File != "" && !filepath.IsLocal(n.File) {
			t.Fatalf("%q leads to the file %q", s, n.File)
		}
	})
}

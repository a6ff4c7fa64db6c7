package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/plexus-network/plexus/engine/shelf"
)

// Limits on what a hub may answer when it lists a repository.
const (
	maxPages   = 20
	maxPage    = 8 << 20 // bytes
	maxEntries = 20_000
	maxShown   = 40 // choices in an error
)

// An Entry is a model file of a repository.
type Entry struct {
	File   string `json:"file"` // path in the repository
	Size   int64  `json:"size"` // bytes
	SHA256 string `json:"sha256,omitempty"`
}

// List returns the model files of o.Repo at o.Revision, by the hub's API:
// GET /api/models/{repo}/tree/{revision}?recursive=1, page by page.
func List(ctx context.Context, o Options) ([]Entry, error) {
	s, err := o.site()
	if err != nil {
		return nil, err
	}
	return s.list(ctx)
}

func (s *site) list(ctx context.Context) ([]Entry, error) {
	at := s.base.JoinPath("api", "models", s.o.Repo, "tree", url.PathEscape(s.o.Revision))
	at.RawQuery = "recursive=1"
	entries, seen := []Entry{}, 0
	for page := 0; at != nil; page++ {
		if page == maxPages || seen > maxEntries {
			return nil, fmt.Errorf("%s has more than %d files: name the one you want as %s/file.gguf", s.o.Repo, seen, s.o.Repo)
		}
		found, next, err := s.page(ctx, at)
		if err != nil {
			return nil, err
		}
		seen += len(found)
		for _, f := range found {
			if f.Type == "file" && checkFile(f.Path) == nil {
				entries = append(entries, Entry{File: f.Path, Size: f.Size, SHA256: sha256Of(f.LFS.OID)})
			}
		}
		at = next
	}
	return entries, nil
}

// listed is an entry of the hub's answer.
type listed struct {
	Type string `json:"type"`
	Path string `json:"path"`
	Size int64  `json:"size"`
	LFS  struct {
		OID string `json:"oid"`
	} `json:"lfs"`
}

// page asks for one page of a list, and returns where the next one is.
func (s *site) page(ctx context.Context, at *url.URL) (found []listed, next *url.URL, err error) {
	err = s.persist(ctx, nil, func(ctx context.Context, _ func()) error {
		a, err := s.get(ctx, at, "")
		if err != nil {
			return err
		}
		defer a.Body.Close()
		body, err := io.ReadAll(io.LimitReader(a.Body, maxPage+1))
		if err != nil {
			return broken{err}
		}
		if len(body) > maxPage {
			return fmt.Errorf("the hub's list of %s has a page of more than %d bytes: name the file you want as %s/file.gguf", s.o.Repo, maxPage, s.o.Repo)
		}
		if err := json.Unmarshal(body, &found); err != nil {
			return fmt.Errorf("%s answers with no list of files: %w; is it a hub?", s.base, err)
		}
		next, err = s.next(a.Header)
		return err
	})
	return found, next, err
}

var nextLink = regexp.MustCompile(`<([^>]*)>\s*;\s*rel="?next"?`)

// next reads the Link header. It leads nowhere but to the hub itself.
func (s *site) next(h http.Header) (*url.URL, error) {
	m := nextLink.FindStringSubmatch(h.Get("Link"))
	if m == nil {
		return nil, nil
	}
	u, err := s.base.Parse(m[1])
	if err != nil || !sameHost(u, s.base) {
		return nil, fmt.Errorf("the hub's list of %s goes on at %.200q, which is not on the hub", s.o.Repo, m[1])
	}
	return u, nil
}

// splitPart ends the name of a model that lies in several files.
var splitPart = regexp.MustCompile(`(?i)-\d{5}-of-\d{5}\.gguf$`)

// pick finds the one file with a quantisation; an empty one fits all.
func pick(n Name, entries []Entry) (Entry, error) {
	if len(entries) == 0 {
		return Entry{}, fmt.Errorf("%s holds no %s files", n.Repo, shelf.Suffix)
	}
	fit := slices.DeleteFunc(slices.Clone(entries), func(e Entry) bool {
		base := strings.ToLower(path.Base(e.File))
		// Projectors of pictures stand beside the models that they belong to.
		return strings.HasPrefix(base, "mmproj") || !strings.Contains(base, strings.ToLower(n.Quant))
	})
	if exact := slices.DeleteFunc(slices.Clone(fit), func(e Entry) bool { return !whole(path.Base(e.File), n.Quant) }); len(exact) == 1 {
		return single(exact[0])
	}
	switch len(fit) {
	case 1:
		return single(fit[0])
	case 0:
		return Entry{}, choices(fmt.Sprintf("no file of %s is %s; there are", n.Repo, n.Quant), n, entries)
	default:
		return Entry{}, choices(fmt.Sprintf("%d files of %s fit; choose one", len(fit), n.Repo), n, fit)
	}
}

// whole tells whether quant stands in a file's name as a word of its own, as
// F16 does not in BF16, nor Q4_K in Q4_K_M.
func whole(file, quant string) bool {
	if quant == "" {
		return false
	}
	return regexp.MustCompile(`(?i)(^|[^A-Za-z0-9_])` + regexp.QuoteMeta(quant) + `([^A-Za-z0-9_]|$)`).MatchString(file)
}

func single(e Entry) (Entry, error) {
	if splitPart.MatchString(e.File) {
		return Entry{}, fmt.Errorf("%s is one part of a model that is split over several files; Plexus reads models of one file: join them with llama-gguf-split --merge", e.File)
	}
	return e, nil
}

func choices(why string, n Name, entries []Entry) error {
	if n.Revision == main {
		n.Revision = ""
	}
	var b strings.Builder
	b.WriteString(why + ":")
	for i, e := range entries {
		if i == maxShown {
			fmt.Fprintf(&b, "\n  … and %d more", len(entries)-i)
			break
		}
		fmt.Fprintf(&b, "\n  %s (%s)", Name{Repo: n.Repo, File: e.File, Revision: n.Revision}, Bytes(e.Size))
	}
	return errors.New(b.String())
}

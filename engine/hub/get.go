package hub

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Limits on requests.
const (
	maxHops  = 10
	attempts = 6 // that bring nothing, in a row
	maxWait  = 30 * time.Second
)

// broken is an error that another attempt may mend.
type broken struct{ error }

func (b broken) Unwrap() error { return b.error }

// Reasons for which a download cannot go on as it is.
var (
	errChanged = errors.New("the file changed while it was fetched")
	errIdle    = errors.New("no byte came")
)

// persist calls try until it succeeds, with growing pauses while its errors are
// those of a broken connection. It gives up after attempts in a row for which
// moved says that they brought nothing; nil means that none does. try calls
// touch whenever something arrives, else its context ends after o.Idle.
func (s *site) persist(ctx context.Context, moved func() bool, try func(ctx context.Context, touch func()) error) error {
	for failed := 0; ; {
		err := s.attempt(ctx, try)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		var b broken
		if !errors.As(err, &b) {
			return err
		}
		if moved != nil && moved() {
			failed = 0
		}
		if failed++; failed == attempts {
			return fmt.Errorf("given up after %d attempts: %w", attempts, b.error)
		}
		wait := max(s.pause(failed), b.after())
		if s.o.Retry != nil {
			s.o.Retry(b.error, wait)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}

func (s *site) attempt(ctx context.Context, try func(context.Context, func()) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	timer := time.AfterFunc(s.o.Idle, func() { cancel(errIdle) })
	defer timer.Stop()
	err := try(ctx, func() { timer.Reset(s.o.Idle) })
	if err != nil && errors.Is(context.Cause(ctx), errIdle) {
		return broken{fmt.Errorf("%w for %v", errIdle, s.o.Idle)}
	}
	return err
}

// pause doubles with each failure; a random part of it keeps many machines from
// coming back at once.
func (s *site) pause(failed int) time.Duration {
	wait := min(s.o.Backoff<<(failed-1), maxWait)
	return wait/2 + rand.N(wait/2+1)
}

// after is how long a server asks to be left alone, within reason.
func (b broken) after() time.Duration {
	var r *refusal
	if errors.As(b.error, &r) {
		return min(r.after, maxWait)
	}
	return 0
}

// answer is a response with status 200 or 206.
type answer struct {
	*http.Response
	linked string // the hub's own ETag, where it sent us on to another host
}

// get requests a file or a part of it, following redirects. The caller closes
// the answer.
func (s *site) get(ctx context.Context, at *url.URL, span string) (answer, error) {
	a := answer{}
	for range maxHops {
		resp, err := s.hop(ctx, at, span)
		if err != nil {
			return a, err
		}
		if sameHost(at, s.base) {
			a.linked = cmp.Or(a.linked, resp.Header.Get("X-Linked-Etag"))
		}
		switch resp.StatusCode {
		case http.StatusOK, http.StatusPartialContent:
			a.Response = resp
			return a, nil
		case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
			resp.Body.Close()
			if at, err = follow(at, resp.Header.Get("Location")); err != nil {
				return a, err
			}
		case http.StatusRequestedRangeNotSatisfiable:
			resp.Body.Close()
			return a, errChanged
		default:
			resp.Body.Close()
			return a, s.refused(resp, at)
		}
	}
	return a, fmt.Errorf("%s sends from one address to the next, more than %d times", at.Host, maxHops)
}

func (s *site) hop(ctx context.Context, at *url.URL, span string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", "plexus")
	req.Header.Set("Accept-Encoding", "identity") // ranges are of the file, not of its compressed form
	if span != "" {
		req.Header.Set("Range", span)
	}
	if s.o.Token != "" && sameHost(at, s.base) {
		req.Header.Set("Authorization", "Bearer "+s.o.Token)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, broken{bare(err, at)}
	}
	return resp, nil
}

// bare drops the URL from an error: that of a CDN is a signed one of 2,000
// characters.
func bare(err error, at *url.URL) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return fmt.Errorf("%s: %w", at.Host, err)
}

// follow returns where a redirect leads; never from https to http.
func follow(from *url.URL, location string) (*url.URL, error) {
	to, err := from.Parse(location)
	if err != nil || location == "" || to.Host == "" {
		return nil, fmt.Errorf("%s sends on to %.200q, which is no address", from.Host, location)
	}
	if to.Scheme != "https" && (to.Scheme != "http" || from.Scheme != "http") {
		return nil, fmt.Errorf("%s sends on to an address that begins with %.20q, https is wanted", from.Host, to.Scheme)
	}
	return to, nil
}

func sameHost(a, b *url.URL) bool { return a.Scheme == b.Scheme && strings.EqualFold(a.Host, b.Host) }

// version tells an answer's file from other versions of it; it is empty where
// nothing does. A weak ETag says nothing about bytes.
func (a answer) version() string {
	etag := cmp.Or(a.linked, a.Header.Get("ETag"))
	if strings.HasPrefix(etag, "W/") {
		return ""
	}
	return etag
}

// total is the size of the whole file, 0 where the answer does not tell.
func (a answer) total() int64 {
	if a.StatusCode == http.StatusPartialContent {
		_, total := a.span()
		return total
	}
	return max(a.ContentLength, 0)
}

// span reads "Content-Range: bytes 5-9/10": the first byte, and the size of the
// whole, both −1 where there is no such header.
func (a answer) span() (first, total int64) {
	rest, ok := strings.CutPrefix(a.Header.Get("Content-Range"), "bytes ")
	from, rest, ok2 := strings.Cut(rest, "-")
	_, size, ok3 := strings.Cut(rest, "/")
	first, err := strconv.ParseInt(from, 10, 64)
	total, err2 := strconv.ParseInt(size, 10, 64)
	if !ok || !ok2 || !ok3 || err != nil || err2 != nil {
		return -1, -1
	}
	return first, total
}

// refusal is a status other than success.
type refusal struct {
	status int
	what   string
	after  time.Duration // to be waited for, if the server says
}

func (r *refusal) Error() string { return r.what }

// refused says what a status means, and what to do. The hub tells more in
// X-Error-Code than in the status.
func (s *site) refused(resp *http.Response, at *url.URL) error {
	r := &refusal{status: resp.StatusCode, what: s.advice(resp, at)}
	if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && seconds > 0 {
		r.after = time.Duration(min(seconds, 3600)) * time.Second
	}
	switch {
	case r.status >= 500, r.status == http.StatusTooManyRequests, r.status == http.StatusRequestTimeout:
		return broken{r}
	case r.status == http.StatusForbidden && !sameHost(at, s.base) && s.o.URL == "":
		return broken{r} // the CDN's signed address ran out: the hub gives a new one
	}
	return r
}

func (s *site) advice(resp *http.Response, at *url.URL) string {
	answered := fmt.Sprintf("%s answers %d", at.Host, resp.StatusCode)
	code := resp.Header.Get("X-Error-Code")
	page := s.base.JoinPath(s.o.Repo).String()
	switch {
	case s.o.URL != "" && resp.StatusCode == http.StatusNotFound:
		return answered + ": there is no such file; check the URL"
	case s.o.URL != "" || !sameHost(at, s.base):
		return answered + " (" + http.StatusText(resp.StatusCode) + ")"
	case code == "GatedRepo" || resp.StatusCode == http.StatusForbidden:
		return fmt.Sprintf("%s: %s is open only to those who accepted its terms: accept them at %s, and put a token of that account into HF_TOKEN", answered, s.o.Repo, page)
	case code == "EntryNotFound":
		return fmt.Sprintf("%s: %s has no file %s at revision %s; plexus model fetch %s tells which there are", answered, s.o.Repo, s.o.File, s.o.Revision, s.o.Repo)
	case code == "RevisionNotFound":
		return fmt.Sprintf("%s: %s has no revision %s", answered, s.o.Repo, s.o.Revision)
	case resp.StatusCode == http.StatusUnauthorized && s.o.Token != "":
		return fmt.Sprintf("%s: the token in HF_TOKEN is not good, or not for %s, or there is no such repository", answered, s.o.Repo)
	case resp.StatusCode == http.StatusUnauthorized:
		return fmt.Sprintf("%s: there is no repository %s, or it is not open to all: check the name, and put a token from %s into HF_TOKEN", answered, s.o.Repo, s.base.JoinPath("settings", "tokens"))
	case resp.StatusCode == http.StatusNotFound:
		return fmt.Sprintf("%s: there is no such file, revision or repository: check the name %s; plexus model fetch %s tells which files there are", answered, s.o.Name, s.o.Repo)
	}
	return answered + " (" + http.StatusText(resp.StatusCode) + ")"
}

// copyBody writes a body of n bytes to w, and tells of each piece. An error of
// reading is a broken connection, one of writing is not.
func copyBody(w io.Writer, body io.Reader, n int64, tell func(int)) error {
	buf := make([]byte, 256<<10)
	for n > 0 {
		got, err := body.Read(buf[:min(n, int64(len(buf)))])
		if got > 0 {
			if _, err := w.Write(buf[:got]); err != nil {
				return err
			}
			n -= int64(got)
			tell(got)
		}
		if n > 0 && err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return broken{err}
		}
	}
	return nil
}

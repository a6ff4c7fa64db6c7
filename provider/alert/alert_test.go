package alert

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// server answers alerts without a network, so that time may be virtual.
type server struct {
	mu    sync.Mutex
	got   []Alert
	at    []time.Time
	code  int
	hangs bool
	bad   int // signatures
}

const secret = "s3cret"

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	var a Alert
	_ = json.Unmarshal(body, &a)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at = append(s.at, time.Now())
	if Verify(secret, r.Header.Get(SignatureHeader), body) != nil {
		s.bad++
	}
	if s.code != 0 {
		w.WriteHeader(s.code)
		return
	}
	s.got = append(s.got, a)
}

// RoundTrip implements [http.RoundTripper].
func (s *server) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	hangs := s.hangs
	s.mu.Unlock()
	if hangs {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w.Result(), nil
}

func (s *server) set(do func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	do()
}

func (s *server) kinds() []Kind {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Kind
	for _, a := range s.got {
		all = append(all, a.Kind)
	}
	return all
}

func post(t *testing.T, dir string, s *server, hooks ...Hook) (p *Post, stop func()) {
	t.Helper()
	p, err := Open(dir, "plx1provider", hooks, Options{HTTP: &http.Client{Transport: s}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); p.Run(ctx) }()
	return p, func() { cancel(); <-done }
}

func TestAlertIsDeliveredOnceItCan(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := &server{code: 500}
		hook := Hook{URL: "http://10.0.0.1/hook", Secret: secret}
		p, stop := post(t, dir, s, hook)
		p.Send(Alert{Kind: LeaseClosed, Subject: "lease", Text: "closed"})
		p.Send(Alert{Kind: DiskLow, Text: "full"})
		time.Sleep(time.Minute)
		s.mu.Lock()
		var gaps []time.Duration
		for i := 1; i < len(s.at); i++ {
			gaps = append(gaps, s.at[i].Sub(s.at[i-1]))
		}
		s.mu.Unlock()
		if want := []time.Duration{5 * time.Second, 10 * time.Second, 20 * time.Second}; !slices.Equal(gaps, want) || p.Waiting() != 2 {
			t.Errorf("tried after %v, want %v; %d wait", gaps, want, p.Waiting())
		}
		stop() // a restart forgets nothing
		s.set(func() { s.code, s.hangs = 0, true })
		p, stop = post(t, dir, s, hook)
		time.Sleep(20 * time.Second)
		s.set(func() { s.hangs = false })
		time.Sleep(time.Minute)
		if got := s.kinds(); !slices.Equal(got, []Kind{LeaseClosed, DiskLow}) || s.bad != 0 || p.Waiting() != 0 {
			t.Errorf("got %v, %d badly signed, %d wait", got, s.bad, p.Waiting())
		}
		if a := s.got[0]; a.Provider != "plx1provider" || a.ID == "" || a.Time.IsZero() || a.Subject != "lease" {
			t.Errorf("got %+v", a)
		}
		stop()
	})
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left on disk: %v", left)
	}
}

func TestHookGetsTheKindsItWants(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := &server{}
		p, stop := post(t, dir, s, Hook{URL: "http://a.example/", Secret: secret, Kinds: []Kind{DiskLow}})
		defer stop()
		p.Send(Alert{Kind: LeaseOpened})
		p.Send(Alert{Kind: DiskLow})
		synctest.Wait()
		if got := s.kinds(); !slices.Equal(got, []Kind{DiskLow}) {
			t.Errorf("got %v", got)
		}
	})
}

func TestOneHookDoesNotHoldUpAnother(t *testing.T) {
	dir := t.TempDir()
	hung, fine := make(chan struct{}), make(chan Kind, 10)
	slow := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-hung:
		case <-r.Context().Done():
		}
	}))
	defer slow.Close()
	defer close(hung)
	quick := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var a Alert
		_ = json.NewDecoder(r.Body).Decode(&a)
		fine <- a.Kind
	}))
	defer quick.Close()
	p, err := Open(dir, "plx1provider", []Hook{{URL: slow.URL}, {URL: quick.URL}}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); p.Run(ctx) }()
	p.Send(Alert{Kind: Test})
	select {
	case k := <-fine:
		if k != Test {
			t.Errorf("got %v", k)
		}
	case <-time.After(30 * time.Second):
		t.Error("nothing came within 30 s")
	}
	cancel()
	<-done
}

func TestQueueIsBounded(t *testing.T) {
	dir := t.TempDir()
	dropped := 0
	p, err := Open(dir, "p", []Hook{{URL: "http://a.example/"}}, Options{Count: func(string) { dropped++ }})
	if err != nil {
		t.Fatal(err)
	}
	for range maxWaiting + 7 {
		p.Send(Alert{Kind: Test})
	}
	if files, _ := os.ReadDir(dir); p.Waiting() != maxWaiting || len(files) != maxWaiting || dropped != 7 {
		t.Errorf("%d wait, %d files, %d dropped", p.Waiting(), len(files), dropped)
	}
}

func TestAlertsOutliveAFolderThatCannotBeWritten(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := &server{}
		p, stop := post(t, dir, s, Hook{URL: "http://a.example/", Secret: secret})
		defer stop()
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		p.Send(Alert{Kind: DiskLow})
		synctest.Wait()
		if got := s.kinds(); len(got) != 1 {
			t.Errorf("got %v", got)
		}
	})
}

func TestOldAndForeignAlertsGo(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := &server{code: 404}
		p, stop := post(t, dir, s, Hook{URL: "http://a.example/"})
		p.Send(Alert{Kind: Test})
		time.Sleep(8 * 24 * time.Hour)
		if p.Waiting() != 0 {
			t.Errorf("%d wait after a week", p.Waiting())
		}
		p.Send(Alert{Kind: Test})
		stop()
	})
	if _, err := Open(dir, "p", []Hook{{URL: "http://b.example/"}}, Options{}); err != nil {
		t.Fatal(err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("alerts of a hook that is gone: %v", left)
	}
	for _, h := range []Hook{{URL: "ftp://a.example"}, {URL: "nonsense"}, {URL: "http://a.example", Kinds: []Kind{"none"}}} {
		if h.Check() == nil {
			t.Errorf("%+v is taken", h)
		}
	}
}

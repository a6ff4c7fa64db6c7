package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/plexus-network/plexus/market"
	"github.com/plexus-network/plexus/market/manifest"
	"github.com/plexus-network/plexus/provider/pass"
	"github.com/plexus-network/plexus/provider/sandbox"
)

// maxScreens is how many groups are screened at once: anybody may ask, and a
// price script may take its time.
const maxScreens = 4

// maxStreams is how many logs, events and commands one tenant may have open.
const maxStreams = 64

// A Server is a provider's end of the API, an [http.Handler].
type Server struct {
	provider string
	desk     Desk
	engine   sandbox.Engine
	log      *slog.Logger
	mux      *http.ServeMux
	screens  chan struct{} // one entry per screening that is on its way

	mu      sync.Mutex
	streams map[string]int // open ones, by tenant
}

// NewServer returns the API of the provider of that address.
func NewServer(provider string, desk Desk, engine sandbox.Engine, log *slog.Logger) *Server {
	s := &Server{provider: provider, desk: desk, engine: engine, log: log, mux: http.NewServeMux(), screens: make(chan struct{}, maxScreens), streams: map[string]int{}}
	s.mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, r *http.Request) { s.answer(w, desk.Status(r.Context()), nil) })
	s.mux.HandleFunc("POST /v1/screen", s.screen)
	s.mux.HandleFunc("PUT /v1/deployments/{dseq}/manifest", s.manifest)
	const lease = "/v1/leases/{dseq}/{gseq}/{oseq}/"
	s.mux.HandleFunc("GET "+lease+"status", s.status)
	s.mux.HandleFunc("GET "+lease+"manifest", s.got)
	s.mux.HandleFunc("POST "+lease+"hosts", s.migrate)
	s.mux.HandleFunc("GET "+lease+"logs", s.logs)
	s.mux.HandleFunc("GET "+lease+"events", s.events)
	s.mux.HandleFunc("GET "+lease+"exec", s.exec)
	s.mux.HandleFunc("POST "+lease+"migrate-ip", s.migrateIP)
	return s
}

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// answer writes v, or an error with the status code that fits it.
func (s *Server) answer(w http.ResponseWriter, v any, err error) {
	code := http.StatusOK
	switch {
	case err == nil:
	case errors.Is(err, pass.ErrPass), errors.Is(err, ErrDenied):
		code = http.StatusUnauthorized
	case errors.Is(err, ErrNoLease), errors.Is(err, sandbox.ErrUnknown):
		code = http.StatusNotFound
	case errors.Is(err, ErrMismatch), errors.Is(err, sandbox.ErrNotRunning):
		code = http.StatusConflict
	case errors.Is(err, ErrAway):
		code = http.StatusServiceUnavailable
	default:
		code = http.StatusBadRequest
	}
	if err != nil {
		v = map[string]any{"error": map[string]string{"message": err.Error()}}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	if err := json.NewEncoder(w).Encode(v); err != nil {
		s.log.Debug("answer", "error", err)
	}
}

// bearer returns what the pass of a request says.
func (s *Server) bearer(r *http.Request) (pass.Claims, error) {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return pass.Claims{}, fmt.Errorf("%w: send a pass of the tenant's as Authorization: Bearer PASS", ErrDenied)
	}
	return pass.Verify(strings.TrimSpace(token), s.provider, time.Now())
}

// asked returns the lease that a request names, if its pass opens it for a
// scope and for the service that it names.
func (s *Server) asked(r *http.Request, scope pass.Scope) (market.BidID, error) {
	c, err := s.bearer(r)
	if err != nil {
		return market.BidID{}, err
	}
	id, err := market.ParseBidID(strings.Join([]string{c.Issuer, r.PathValue("dseq"), r.PathValue("gseq"), r.PathValue("oseq"), s.provider}, "/"))
	if err != nil {
		return id, err
	}
	return id, c.Allow(scope, id.DSeq, r.FormValue("service"))
}

func (s *Server) screen(w http.ResponseWriter, r *http.Request) {
	var ask struct {
		Owner string           `json:"owner"`
		Group market.GroupSpec `json:"group"`
	}
	body := http.MaxBytesReader(w, r.Body, 1<<20)
	if err := json.NewDecoder(body).Decode(&ask); err != nil {
		s.answer(w, nil, fmt.Errorf("a group to screen: %w", err))
		return
	}
	if err := ask.Group.Validate(); err != nil {
		s.answer(w, nil, err)
		return
	}
	select {
	case s.screens <- struct{}{}:
		defer func() { <-s.screens }()
	default:
		s.answer(w, nil, fmt.Errorf("%w: %d groups are being screened, ask again", ErrAway, maxScreens))
		return
	}
	s.answer(w, s.desk.Screen(r.Context(), ask.Owner, ask.Group), nil)
}

func (s *Server) manifest(w http.ResponseWriter, r *http.Request) {
	leases, err := s.takeManifest(w, r)
	s.answer(w, map[string]any{"leases": leases}, err)
}

func (s *Server) takeManifest(w http.ResponseWriter, r *http.Request) ([]string, error) {
	c, err := s.bearer(r)
	if err != nil {
		return nil, err
	}
	dseq, err := strconv.ParseUint(r.PathValue("dseq"), 10, 64)
	if err != nil {
		return nil, fmt.Errorf("deployment %q is no number", r.PathValue("dseq"))
	}
	if err := c.Allow(pass.SendManifest, dseq, ""); err != nil {
		return nil, err
	}
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, manifest.MaxSize))
	if err != nil {
		return nil, err
	}
	m, err := manifest.Parse(text)
	if err != nil {
		return nil, err
	}
	return s.desk.Manifest(r.Context(), c.Issuer, dseq, m)
}

// A migration is the body of a request to exchange addresses.
type migration struct {
	To       string `json:"to"` // a lease
	Endpoint string `json:"endpoint"`
}

func (s *Server) migrateIP(w http.ResponseWriter, r *http.Request) {
	s.answer(w, map[string]any{}, s.exchange(w, r))
}

func (s *Server) exchange(w http.ResponseWriter, r *http.Request) error {
	from, err := s.asked(r, pass.MigrateIP)
	if err != nil {
		return err
	}
	var m migration
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4<<10)).Decode(&m); err != nil {
		return fmt.Errorf("where the address goes: %w", err)
	}
	to, err := market.ParseBidID(m.To)
	if err != nil {
		return err
	}
	c, err := s.bearer(r)
	if err != nil {
		return err
	}
	if to.Owner != c.Issuer {
		return fmt.Errorf("%w: lease %v is not of %s", ErrDenied, to, c.Issuer)
	}
	if err := c.Allow(pass.MigrateIP, to.DSeq, ""); err != nil {
		return err
	}
	return s.desk.MigrateIP(r.Context(), from, to, m.Endpoint)
}

func (s *Server) status(w http.ResponseWriter, r *http.Request) {
	id, err := s.asked(r, pass.Status)
	if err != nil {
		s.answer(w, nil, err)
		return
	}
	status, err := s.desk.Lease(r.Context(), id)
	s.answer(w, status, err)
}

// maxHosts is how many names move at once.
const maxHosts = 256

func (s *Server) migrate(w http.ResponseWriter, r *http.Request) {
	var ask struct {
		Hosts []string `json:"hosts"`
	}
	id, err := s.asked(r, pass.SendManifest)
	if err == nil {
		if err = json.NewDecoder(http.MaxBytesReader(w, r.Body, 128<<10)).Decode(&ask); err == nil && (len(ask.Hosts) == 0 || len(ask.Hosts) > maxHosts) {
			err = fmt.Errorf("%d names to move, want 1 to %d", len(ask.Hosts), maxHosts)
		}
	}
	if err == nil {
		err = s.desk.Migrate(r.Context(), id, ask.Hosts)
	}
	s.answer(w, map[string]any{"hosts": ask.Hosts}, err)
}

func (s *Server) got(w http.ResponseWriter, r *http.Request) {
	id, err := s.asked(r, pass.GetManifest)
	if err != nil {
		s.answer(w, nil, err)
		return
	}
	k, err := s.desk.Keeper(id)
	if err == nil && k.Record() == nil {
		err = fmt.Errorf("%w: its manifest has not come yet", ErrNoLease)
	}
	if err != nil {
		s.answer(w, nil, err)
		return
	}
	s.answer(w, k.Record().Group, nil)
}

// open counts a stream of a tenant's; call the result at its end.
func (s *Server) open(tenant string) (func(), error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.streams[tenant] >= maxStreams {
		return nil, fmt.Errorf("%w: %d streams of %s are open, which is the most", ErrAway, maxStreams, tenant)
	}
	s.streams[tenant]++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.streams[tenant]--; s.streams[tenant] == 0 {
			delete(s.streams, tenant)
		}
	}, nil
}

// A lines writes one JSON object per line, and sends each off at once.
type lines struct {
	mu   sync.Mutex
	w    http.ResponseWriter
	out  *http.ResponseController
	json *json.Encoder
}

func newLines(w http.ResponseWriter) *lines {
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.WriteHeader(http.StatusOK)
	l := &lines{w: w, out: http.NewResponseController(w), json: json.NewEncoder(w)}
	_ = l.out.Flush() // the headers, so that the client knows; a write tells if it is gone
	return l
}

func (l *lines) write(v any) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.json.Encode(v); err != nil {
		return err
	}
	return l.out.Flush()
}

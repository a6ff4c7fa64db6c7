// Package console is the tenant's desk in a browser: what plexus deploy, lease
// and providers do on a terminal, as HTTP with JSON under /console/v1/, beside
// the page that shows it.
//
// It signs with a key of this machine, so it is made for one person on
// loopback. Who calls must show the token that was printed when it began, in
// the header Authorization or, where a browser cannot set one, as a websocket's
// subprotocol; every request must name a host that is meant, so that no other
// site's name can be bound to this address, and must not come from another
// site's page. Bodies and open streams are bounded. The key itself stays in the
// process: what leaves it is signed. Start at [New].
package console

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"time"

	"github.com/plexus-network/plexus/ledger"
	"github.com/plexus-network/plexus/market/sdl"
	"github.com/plexus-network/plexus/provider/api"
	"github.com/plexus-network/plexus/tenant"
)

// Options of a [Console]. Those of the first block are needed.
type Options struct {
	Tenant *tenant.Tenant
	Chain  *ledger.Client
	Token  string   // what callers show; at least 16 characters
	Hosts  []string // by which it may be called, as in "127.0.0.1:8090"

	Name string       // of the key, for people
	Page http.Handler // of all other paths; nil means none
	Log  *slog.Logger // nil means no log
}

// Bounds of what one console takes at a time.
const (
	maxBody    = 4 * sdl.MaxSize
	maxStreams = 64
	minToken   = 16
)

// A Console is an [http.Handler].
type Console struct {
	o       Options
	mux     *http.ServeMux
	streams chan struct{} // one entry per stream that is open
}

// New returns a Console.
func New(o Options) (*Console, error) {
	if len(o.Token) < minToken {
		return nil, fmt.Errorf("console: the token has %d characters, want at least %d", len(o.Token), minToken)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	c := &Console{o: o, mux: http.NewServeMux(), streams: make(chan struct{}, maxStreams)}
	const v1 = "/console/v1/"
	c.answers("GET "+v1+"account", c.account)
	c.answers("GET "+v1+"templates", c.templates)
	c.answers("GET "+v1+"providers", c.providers)
	c.answers("POST "+v1+"providers", c.screen)
	c.answers("POST "+v1+"sdl", c.check)
	c.answers("GET "+v1+"deployments", c.list)
	c.answers("POST "+v1+"deployments", c.deploy)
	const one = v1 + "deployments/{dseq}"
	c.answers("GET "+one, c.look)
	c.answers("PUT "+one, c.update)
	c.answers("DELETE "+one, c.close)
	c.answers("POST "+one+"/leases", c.take)
	c.answers("POST "+one+"/manifest", c.send)
	c.answers("POST "+one+"/topup", c.topUp)
	c.answers("GET "+one+"/past", c.past)
	c.answers("POST "+one+"/hosts", c.moveHosts)
	c.answers("GET "+one+"/addresses", c.addresses)
	c.answers("POST "+one+"/addresses", c.moveAddress)
	c.follows("GET "+one+"/past/logs", c.pastLogs)
	c.follows("GET "+one+"/past/events", c.pastEvents)
	c.follows("GET "+one+"/bids", c.bids)
	c.follows("GET "+one+"/logs", c.logs)
	c.follows("GET "+one+"/events", c.events)
	c.mux.HandleFunc("GET "+one+"/shell", c.shell)
	c.mux.HandleFunc(v1, func(w http.ResponseWriter, r *http.Request) {
		c.answer(w, nil, fmt.Errorf("%w: there is no %s %s; docs/console.md lists what there is", errUnknown, r.Method, r.URL.Path))
	})
	return c, nil
}

// Run answers on a listener until ctx ends.
func (c *Console) Run(ctx context.Context, l net.Listener) error {
	s := &http.Server{
		Handler: c, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 32 << 10,
		BaseContext: func(net.Listener) context.Context { return ctx }, ErrorLog: slog.NewLogLogger(c.o.Log.Handler(), slog.LevelDebug),
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		err := s.Close()
		if e := <-ended; !errors.Is(e, http.ErrServerClosed) {
			err = errors.Join(err, e)
		}
		return err
	}
}

// What a request can be wrong in, beside what lower rooms say.
var (
	errUnknown = errors.New("not found")
	errRequest = errors.New("not understood")
	errFull    = errors.New("busy")
)

// answers serves a path with what do returns.
func (c *Console) answers(path string, do func(*http.Request) (any, error)) {
	c.mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		v, err := do(r)
		c.answer(w, v, err)
	})
}

// A refusal is an error as the page reads it.
type refusal struct {
	Message  string    `json:"message"`
	Code     string    `json:"code"`
	Problems []problem `json:"problems,omitempty"` // of an SDL
}

// answer writes v, or an error with the status that fits it.
func (c *Console) answer(w http.ResponseWriter, v any, err error) {
	status := http.StatusOK
	if err != nil {
		var no refusal
		status, no = refused(err)
		v = map[string]refusal{"error": no}
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(v); err != nil {
		c.o.Log.Debug("answer", "error", err)
	}
}

// refused finds the status and the words for an error.
func refused(err error) (int, refusal) {
	no := refusal{Message: err.Error()}
	var faults *sdl.Error
	var refusedTx *ledger.TxError
	status := http.StatusBadGateway
	switch {
	case errors.As(err, &faults):
		status, no.Code, no.Problems = http.StatusUnprocessableEntity, "sdl", problems(faults.Problems, false)
	case errors.Is(err, errToken):
		status, no.Code = http.StatusUnauthorized, "token"
	case errors.Is(err, errHost):
		status, no.Code = http.StatusForbidden, "host"
	case errors.Is(err, errUnknown), errors.Is(err, ledger.ErrNotFound), errors.Is(err, tenant.ErrNoLease), errors.Is(err, api.ErrNoLease):
		status, no.Code = http.StatusNotFound, "not_found"
	case errors.Is(err, errRequest):
		status, no.Code = http.StatusBadRequest, "request"
	case errors.Is(err, errFull), errors.Is(err, api.ErrAway):
		status, no.Code = http.StatusServiceUnavailable, "busy"
	case errors.Is(err, ledger.ErrUnreachable):
		status, no.Code = http.StatusServiceUnavailable, "chain"
		no.Message += ": the node of this console does not answer; start it, or start the console again with --grpc and another one's address"
	case errors.As(err, &refusedTx):
		status, no.Code = http.StatusConflict, "chain_refused"
	case errors.Is(err, api.ErrMismatch):
		status, no.Code = http.StatusConflict, "provider_refused"
	default:
		no.Code = "failed"
	}
	return status, no
}

// read decodes a request's body, one JSON object with no fields but v's.
func read(r *http.Request, v any) error {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return fmt.Errorf("%w: the content type is %q, want application/json", errRequest, r.Header.Get("Content-Type"))
	}
	in := json.NewDecoder(r.Body)
	in.DisallowUnknownFields()
	if err := in.Decode(v); err != nil {
		return fmt.Errorf("%w: the body: %w", errRequest, err)
	}
	if _, err := in.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: something follows the body's object", errRequest)
	}
	return nil
}

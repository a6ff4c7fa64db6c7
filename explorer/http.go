package explorer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// Bounds of one request.
const (
	queryTime  = 5 * time.Second
	maxStreams = 256
)

// Handler serves the index as JSON under /v1: see /v1 itself for what there is,
// and docs/explorer.md. It only reads, and any page may ask it. Streams end
// when their requests do: end those first, as with http.Server's BaseContext.
func (x *Index) Handler() http.Handler {
	s := &server{Index: x}
	mux := http.NewServeMux()
	handle := func(path string, f func(*http.Request) (any, error)) {
		mux.HandleFunc("GET "+path, s.answer(f))
	}
	handle("/v1", s.contents)
	handle("/v1/status", s.status)
	handle("/v1/search", s.search)
	handle("/v1/subnets/{netuid}/metagraph", s.metagraph)
	handle("/v1/validators", s.validators)
	handle("/v1/validators/{id}", s.validator)
	handle("/v1/{list}", s.list)
	handle("/v1/{list}/{id}", s.item)
	mux.HandleFunc("GET /v1/live", s.live)
	mux.HandleFunc("GET /metrics", s.metrics)
	mux.HandleFunc("/", s.answer(func(r *http.Request) (any, error) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			return nil, &refusal{http.StatusMethodNotAllowed, fmt.Sprintf("%s changes nothing here: use GET", r.Method)}
		}
		return nil, &refusal{http.StatusNotFound, fmt.Sprintf("there is nothing at %s; /v1 tells what there is", r.URL.Path)}
	}))
	return mux
}

// A server answers requests.
type server struct {
	*Index
	streams atomic.Int64
}

// A refusal is an answer that is an error.
type refusal struct {
	status int
	words  string
}

func (e *refusal) Error() string { return e.words }

// answer returns the handler that answers with what f returns, in JSON.
func (s *server) answer(f func(*http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), queryTime)
		defer cancel()
		v, err := f(r.WithContext(ctx))
		status := http.StatusOK
		if err != nil {
			status, v = s.failure(r, err)
		}
		b, err := json.Marshal(v)
		if err != nil {
			s.log.Error("answer is no JSON", "path", r.URL.Path, "error", err)
			http.Error(w, "the answer cannot be written", http.StatusInternalServerError)
			return
		}
		h := w.Header()
		h.Set("Content-Type", "application/json")
		h.Set("Access-Control-Allow-Origin", "*")
		h.Set("X-Content-Type-Options", "nosniff")
		w.WriteHeader(status)
		_, _ = w.Write(append(b, '\n')) // who asked may have gone
	}
}

// failure returns the status and the words of an error.
func (s *server) failure(r *http.Request, err error) (int, any) {
	type words struct {
		Message string `json:"message"`
	}
	say := func(status int, message string) (int, any) {
		return status, struct {
			Error words `json:"error"`
		}{words{message}}
	}
	var bad badRequest
	var refused *refusal
	switch {
	case errors.As(err, &bad):
		return say(http.StatusBadRequest, bad.Error())
	case errors.As(err, &refused):
		return say(refused.status, refused.words)
	case isSlow(err):
		return say(http.StatusServiceUnavailable,
			fmt.Sprintf("this took longer than %v: narrow it with a filter, or with from and to", queryTime))
	default:
		if r.Context().Err() == nil {
			s.log.Error("request failed", "path", r.URL.Path, "error", err)
		}
		return say(http.StatusInternalServerError, "the index cannot be read")
	}
}

// contents tells what there is.
func (s *server) contents(*http.Request) (any, error) {
	type listing struct {
		Path       string   `json:"path"`
		About      string   `json:"about"`
		Parameters []string `json:"parameters"`
		Fields     []string `json:"fields"`
		Item       string   `json:"item,omitempty"`
	}
	var all []listing
	for _, l := range lists {
		one := listing{Path: "/v1/" + l.name, About: l.about, Parameters: l.params()}
		for _, c := range l.columns {
			one.Fields = append(one.Fields, c.name)
		}
		if l.id != "" {
			one.Item = "/v1/" + l.name + "/{" + l.id + "}"
		}
		all = append(all, one)
	}
	return map[string]any{
		"lists": all,
		"more":  []string{"/v1/status", "/v1/search?q=", "/v1/subnets/{netuid}/metagraph?height=", "/v1/live?lists=&account=&after="},
	}, nil
}

// status tells how far the index is.
func (s *server) status(r *http.Request) (any, error) {
	st, err := s.Status(r.Context())
	if err != nil {
		return nil, err
	}
	type status struct {
		ChainID        string     `json:"chain_id"`
		First          uint64     `json:"first"`
		Height         uint64     `json:"height"`
		Time           *time.Time `json:"time,omitempty"`
		Hash           string     `json:"hash"`
		AgeSeconds     float64    `json:"age_seconds"`
		BalancesOpened bool       `json:"balances_opened"`
	}
	out := status{ChainID: st.ChainID, First: uint64(st.First), Height: uint64(st.Height), Hash: st.Hash, BalancesOpened: st.Opened > 0}
	if st.Height > 0 {
		out.Time, out.AgeSeconds = &st.Time, math.Round(time.Since(st.Time).Seconds()*10)/10
	}
	return out, nil
}

// list answers with a page.
func (s *server) list(r *http.Request) (any, error) {
	l, err := named(r.PathValue("list"))
	if err != nil {
		return nil, err
	}
	q, err := l.parse(r.URL.Query())
	if err != nil {
		return nil, err
	}
	return s.page(r.Context(), q)
}

// named returns the list of a name.
func named(name string) (*list, error) {
	if l := findList(name); l != nil {
		return l, nil
	}
	var names []string
	for _, l := range lists {
		names = append(names, l.name)
	}
	return nil, &refusal{http.StatusNotFound, fmt.Sprintf("there is no list %q; there are %s", name, strings.Join(names, ", "))}
}

// item answers with one item of a list.
func (s *server) item(r *http.Request) (any, error) {
	l, err := named(r.PathValue("list"))
	if err != nil {
		return nil, err
	}
	if l.id == "" {
		return nil, &refusal{http.StatusNotFound, fmt.Sprintf("items of %s have no names; filter /v1/%s by %s", l.name, l.name, strings.Join(l.params(), ", "))}
	}
	id := r.PathValue("id")
	if l.id == "hash" {
		id = strings.ToUpper(id)
	}
	o, err := s.one(r.Context(), l, id)
	if err != nil {
		return nil, err
	}
	if o == nil {
		return nil, &refusal{http.StatusNotFound, fmt.Sprintf("%s has no item with %s %q", l.name, l.id, id)}
	}
	return o, nil
}

// metagraph answers with all neurons of a subnet as an epoch saw them: the
// latest, or the latest at a height, in mechanism 0 or another.
func (s *server) metagraph(r *http.Request) (any, error) {
	netuid, err := argument("netuid", r.PathValue("netuid"), number)
	if err != nil {
		return nil, err
	}
	at := any(int64(math.MaxInt64))
	if v := r.URL.Query().Get("height"); v != "" {
		if at, err = argument("height", v, number); err != nil {
			return nil, err
		}
	}
	mechanism := any(int64(0))
	if v := r.URL.Query().Get("mechanism"); v != "" {
		if mechanism, err = argument("mechanism", v, number); err != nil {
			return nil, err
		}
	}
	l := findList("neurons")
	q := &query{list: l, limit: math.MaxUint16, asc: true, args: []any{netuid, at, mechanism}}
	q.conds = []string{
		"netuid = $1", "mechanism = $3",
		"height = (SELECT MAX(height) FROM neurons WHERE netuid = $1 AND height <= $2 AND mechanism = $3)",
	}
	p, err := s.page(r.Context(), q)
	if err != nil {
		return nil, err
	}
	if len(p.Items) == 0 {
		return nil, &refusal{http.StatusNotFound, fmt.Sprintf("subnet %v has no epoch in the index at that height", netuid)}
	}
	return map[string]any{"netuid": netuid, "height": p.Items[0].raw("height"), "neurons": p.Items}, nil
}

// validators answers with a page of validators and their yields.
func (s *server) validators(r *http.Request) (any, error) {
	params := r.URL.Query()
	window, err := windowOf(params.Get("window"))
	if err != nil {
		return nil, err
	}
	params.Del("window")
	q, err := findList("validators").parse(params)
	if err != nil {
		return nil, err
	}
	p, err := s.page(r.Context(), q)
	if err != nil {
		return nil, err
	}
	return p, s.yields(r.Context(), p.Items, window)
}

// validator answers with one validator and its yield.
func (s *server) validator(r *http.Request) (any, error) {
	window, err := windowOf(r.URL.Query().Get("window"))
	if err != nil {
		return nil, err
	}
	id := r.PathValue("id")
	o, err := s.one(r.Context(), findList("validators"), id)
	if err != nil {
		return nil, err
	}
	if o == nil {
		return nil, &refusal{http.StatusNotFound, fmt.Sprintf("there is no validator %q; give its operator's address, plxvaloper1…", id)}
	}
	items := []object{o}
	return &items[0], s.yields(r.Context(), items, window)
}

// search tells what a text names: a height, a netuid, a transaction's hash or
// an address.
func (s *server) search(r *http.Request) (any, error) {
	q := strings.TrimSpace(r.URL.Query().Get("q"))
	var tries []string
	switch _, err := strconv.ParseUint(q, 10, 63); {
	case q == "" || len(q) > 200:
		return nil, badRequest{"q is empty or too long: give a height, a netuid, a hash or an address"}
	case err == nil:
		tries = []string{"blocks", "subnets"}
	case strings.HasPrefix(q, "plxvaloper1"):
		tries = []string{"validators"}
	case strings.HasPrefix(q, "plx1"):
		tries = []string{"accounts"}
	default:
		tries, q = []string{"txs"}, strings.ToUpper(q)
	}
	found := []map[string]any{}
	for _, name := range tries {
		o, err := s.one(r.Context(), findList(name), q)
		if err != nil {
			return nil, err
		}
		if o != nil {
			found = append(found, map[string]any{"list": name, "path": "/v1/" + name + "/" + q, "item": o})
		}
	}
	return map[string]any{"items": found}, nil
}

// metrics answers in Prometheus' text format.
func (s *server) metrics(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), queryTime)
	defer cancel()
	st, err := s.Status(ctx)
	if err != nil {
		http.Error(w, "the index cannot be read", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/plain; version=0.0.4")
	for _, m := range []struct {
		name, help string
		value      float64
	}{
		{"plexus_explorer_height", "Newest block in the index.", float64(st.Height)},
		{"plexus_explorer_block_time_seconds", "Time of that block, in seconds of Unix time.", float64(st.Time.UnixMilli()) / 1000},
		{"plexus_explorer_streams", "Live streams that are open.", float64(s.streams.Load())},
	} {
		fmt.Fprintf(w, "# HELP %s %s\n# TYPE %s gauge\n%s %v\n", m.name, m.help, m.name, m.name, m.value)
	}
}

package explorer

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Bounds of a live stream.
const (
	maxReplay = 1000             // blocks that are told anew after a break
	maxNews   = 1000             // items of one list in one block
	lookEvery = time.Second      // another process may be the one that follows
	keepAlive = 15 * time.Second // between signs of life
	sendTime  = 10 * time.Second // for a client to take what is sent
)

// liveLists are the lists that can be streamed.
var liveLists = []string{"blocks", "txs", "transfers", "registrations", "epochs", "moves", "claims"}

// A stream is one client's.
type stream struct {
	*server
	w     http.ResponseWriter
	ctl   *http.ResponseController
	lists []*list
	who   string // only news of this account; empty means all
	last  int64  // newest block that was told
}

// live streams what new blocks bring as server-sent events: one event per item,
// named after its list, with the height as its id. A client that comes back
// with that id misses nothing.
func (s *server) live(w http.ResponseWriter, r *http.Request) {
	st, err := s.newStream(w, r)
	if err == nil && s.streams.Add(1) > maxStreams {
		s.streams.Add(-1)
		err = &refusal{http.StatusServiceUnavailable, fmt.Sprintf("%d streams are open, as many as may be: try again later", maxStreams)}
	}
	if err != nil {
		s.answer(func(*http.Request) (any, error) { return nil, err })(w, r)
		return
	}
	defer s.streams.Add(-1)
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-cache")
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("X-Accel-Buffering", "no") // or nginx would hold it back
	w.WriteHeader(http.StatusOK)
	_ = st.run(r.Context()) // ends when the client goes, which is no failure
}

// newStream reads what a client asks for.
func (s *server) newStream(w http.ResponseWriter, r *http.Request) (*stream, error) {
	st := &stream{server: s, w: w, ctl: http.NewResponseController(w), last: -1}
	params := r.URL.Query()
	names := liveLists
	if v := params.Get("lists"); v != "" {
		names = strings.Split(v, ",")
	}
	for _, name := range names {
		l := findList(name)
		if l == nil || !slices.Contains(liveLists, name) {
			return nil, badRequest{fmt.Sprintf("list %q does not stream; %s do", name, strings.Join(liveLists, ", "))}
		}
		if !slices.Contains(st.lists, l) {
			st.lists = append(st.lists, l)
		}
	}
	st.who = params.Get("account")
	after := r.Header.Get("Last-Event-ID")
	if after == "" {
		after = params.Get("after")
	}
	if after != "" {
		v, err := strconv.ParseInt(after, 10, 64)
		if err != nil || v < 0 {
			return nil, badRequest{fmt.Sprintf("after %q: give the height of the last block that you know", after)}
		}
		st.last = v
		return st, nil
	}
	now, err := s.Status(r.Context())
	st.last = int64(now.Height)
	return st, err
}

// run tells of every new block until the client goes or the index fails.
func (s *stream) run(ctx context.Context) error {
	quiet := time.Now()
	if err := s.send(": plexus explorer\n\n"); err != nil {
		return err
	}
	for {
		moved := s.changed()
		told, err := s.news(ctx)
		if err != nil {
			return err
		}
		if told {
			quiet = time.Now()
			continue
		}
		if time.Since(quiet) > keepAlive {
			quiet = time.Now()
			if err := s.send(": alive\n\n"); err != nil {
				return err
			}
		}
		t := time.NewTimer(lookEvery)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-moved:
		case <-t.C:
		}
		t.Stop()
	}
}

// news tells of the next block, if there is one.
func (s *stream) news(ctx context.Context) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, queryTime)
	defer cancel()
	now, err := s.Status(ctx)
	if err != nil {
		return false, err
	}
	newest := int64(now.Height)
	if newest < s.last { // the index was rewound
		s.last = newest
	}
	if newest == s.last {
		return false, nil
	}
	if newest-s.last > maxReplay {
		gap := fmt.Sprintf("event: gap\nid: %d\ndata: {\"from\":%d,\"to\":%d}\n\n", newest-1, s.last+1, newest-1)
		s.last = newest - 1
		return true, s.send(gap)
	}
	next := max(s.last+1, int64(now.First))
	var b strings.Builder
	for _, l := range s.lists {
		if err := s.tell(ctx, &b, l, next); err != nil {
			return false, err
		}
	}
	s.last = next
	return true, s.send(b.String())
}

// tell writes the items of a list that a block brought.
func (s *stream) tell(ctx context.Context, b *strings.Builder, l *list, at int64) error {
	h := strconv.FormatInt(at, 10)
	q, err := l.parse(url.Values{"from": {h}, "to": {h}, "order": {"asc"}})
	if err != nil {
		return err
	}
	q.limit = maxNews
	if s.who != "" && l.name != "blocks" {
		q.args = append(q.args, clean(s.who))
		if q.either = l.concerning(len(q.args)); len(q.either) == 0 {
			return nil
		}
	}
	p, err := s.page(ctx, q)
	if err != nil {
		return err
	}
	for _, o := range p.Items {
		data, err := json.Marshal(o)
		if err != nil {
			return err
		}
		fmt.Fprintf(b, "event: %s\nid: %d\ndata: %s\n\n", l.name, at, data)
	}
	return nil
}

// send sends text to the client.
func (s *stream) send(text string) error {
	_ = s.ctl.SetWriteDeadline(time.Now().Add(sendTime)) // where the connection has one
	if _, err := s.w.Write([]byte(text)); err != nil {
		return err
	}
	return s.ctl.Flush()
}

// concerning returns the conditions of which one holds for items that concern
// the account of argument n; none if items of l concern nobody.
func (l *list) concerning(n int) []string {
	var conds []string
	for _, name := range []string{"signer", "sender", "recipient", "account", "delegator", "replaced"} {
		if l.kindOf(name) != 0 {
			conds = append(conds, fmt.Sprintf("%s = $%d", name, n))
		}
	}
	return conds
}

package console_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/plexus-network/plexus/console"
	"github.com/plexus-network/plexus/provider/sandbox"
	"github.com/plexus-network/plexus/templates"
	"github.com/plexus-network/plexus/tenant"
	"github.com/plexus-network/plexus/tenant/tenanttest"
	"github.com/plexus-network/plexus/web"
)

const token = "0123456789abcdef0123456789"

// hold keeps the console of TestConsole open at an address, for a browser.
var hold = flag.String("hold", "", "address at which to serve a console on a market of make-believe until interrupted")

// A desk is a console that listens.
type desk struct {
	t      *testing.T
	market *tenanttest.Market
	host   string
}

func open(t *testing.T, m *tenanttest.Market, address string, page http.Handler) *desk {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	d := &desk{t, m, l.Addr().String()}
	c, err := console.New(console.Options{
		Tenant: tenant.New(m.Chain, m.Tenant), Chain: m.Chain, Token: token, Hosts: []string{d.host}, Name: "tenant", Page: page,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return d
}

// ask sends a request and returns the status and the answer's text.
func (d *desk) ask(method, path string, body any, change ...func(*http.Request)) (int, string) {
	d.t.Helper()
	var in io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			d.t.Fatal(err)
		}
		in = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(d.t.Context(), method, "http://"+d.host+"/console/v1/"+path, in)
	if err != nil {
		d.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "application/json")
	for _, c := range change {
		c(r)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		d.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// get sends a request that must succeed, and decodes the answer.
func (d *desk) get(into any, method, path string, body any) {
	d.t.Helper()
	status, text := d.ask(method, path, body)
	if status != http.StatusOK {
		d.t.Fatalf("%s %s: %d %s", method, path, status, text)
	}
	if err := json.Unmarshal([]byte(text), into); err != nil {
		d.t.Fatalf("%s %s: %v in %s", method, path, err, text)
	}
}

// follow reads a stream until done says so.
func (d *desk) follow(path string, done func(text string) bool) {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), 2*time.Minute)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+d.host+"/console/v1/"+path, nil)
	if err != nil {
		d.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		d.t.Fatal(err)
	}
	defer resp.Body.Close()
	var heard []string
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		text, is := strings.CutPrefix(lines.Text(), "data: ")
		if is && done(text) {
			return
		}
		heard = append(heard, lines.Text())
	}
	d.t.Fatalf("the stream %s ended after %q", path, heard)
}

func TestConsole(t *testing.T) {
	m := tenanttest.Open(t, "east", "west")
	d := open(t, m, "127.0.0.1:0", nil)
	t.Run("tells whose it is", func(t *testing.T) { d.account(t) })
	t.Run("checks an SDL", func(t *testing.T) { d.checks(t) })
	t.Run("screens providers", func(t *testing.T) { d.screens(t) })
	t.Run("turns strangers away", func(t *testing.T) { d.strangers(t) })
	t.Run("refuses bad bodies", func(t *testing.T) { d.badBodies(t) })
	t.Run("rents", func(t *testing.T) { d.rents(t) })
	t.Run("moves names and addresses", func(t *testing.T) { d.moves(t) })
	t.Run("tells what was measured", func(t *testing.T) { d.measures(t) })
}

func (d *desk) account(t *testing.T) {
	var a struct{ Address, Balance, Name string }
	d.get(&a, "GET", "account", nil)
	if a.Address != d.market.Tenant.Address() || a.Balance != "1000plx" || a.Name != "tenant" {
		t.Errorf("account %+v", a)
	}
	var all []struct{ Name, Title, Text string }
	d.get(&all, "GET", "templates", nil)
	if len(all) != len(templates.All()) || all[0].Title == "" || !strings.Contains(all[0].Text, "services:") {
		t.Errorf("templates %+v", all)
	}
}

func (d *desk) checks(t *testing.T) {
	var good struct {
		Valid   bool
		Highest struct{ Block, Hour, Month string }
		Summary struct{ Services int }
	}
	d.get(&good, "POST", "sdl", map[string]string{"sdl": tenanttest.SDL("")})
	if !good.Valid || good.Summary.Services != 1 || good.Highest.Block != "0.002plx" || !strings.HasSuffix(good.Highest.Month, "plx") {
		t.Errorf("a good file: %+v", good)
	}
	vllm, err := templates.Find("vllm")
	if err != nil {
		t.Fatal(err)
	}
	var unfilled struct {
		Valid    bool
		Problems []struct{ Text string }
	}
	d.get(&unfilled, "POST", "sdl", map[string]string{"sdl": vllm.SDL})
	if unfilled.Valid || len(unfilled.Problems) != len(templates.Blanks(vllm.SDL)) || !strings.Contains(unfilled.Problems[0].Text, "<<") {
		t.Errorf("a template as it comes: %+v", unfilled)
	}
	var bad struct {
		Valid    bool
		Problems []struct {
			Line, Column int
			Text         string
		}
	}
	d.get(&bad, "POST", "sdl", map[string]string{"sdl": strings.ReplaceAll(tenanttest.SDL(""), "256Mi", "256Mb")})
	if bad.Valid || len(bad.Problems) == 0 || bad.Problems[0].Line != 9 || bad.Problems[0].Column == 0 || !strings.Contains(bad.Problems[0].Text, "256M") {
		t.Errorf("a bad file: %+v", bad)
	}
}

func (d *desk) screens(t *testing.T) {
	type offer struct {
		Screening struct {
			OK   bool
			Kind string
		}
		Rate *struct{ Hour string }
	}
	var all struct{ Providers []offer }
	d.get(&all, "GET", "providers", nil)
	if len(all.Providers) != 2 || all.Providers[0].Rate == nil || all.Providers[0].Rate.Hour == "" {
		t.Errorf("providers %+v", all)
	}
	var groups struct{ Groups []struct{ Providers []offer } }
	d.get(&groups, "POST", "providers", map[string]string{"sdl": tenanttest.SDL("east")})
	would := 0
	for _, p := range groups.Groups[0].Providers {
		if p.Screening.OK {
			would++
		} else if p.Screening.Kind != "attribute" || p.Rate != nil {
			t.Errorf("a provider elsewhere: %+v", p)
		}
	}
	if would != 1 {
		t.Errorf("%d providers would serve the east, want 1: %+v", would, groups)
	}
}

func (d *desk) strangers(t *testing.T) {
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	for name, c := range map[string]struct {
		change func(*http.Request)
		status int
	}{
		"no_token":       {func(r *http.Request) { r.Header.Del("Authorization") }, 401},
		"another_token":  {header("Authorization", "Bearer "+token+"x"), 401},
		"basic":          {header("Authorization", "Basic "+token), 401},
		"rebound_name":   {func(r *http.Request) { r.Host = "evil.example" }, 403},
		"another_port":   {func(r *http.Request) { r.Host = "127.0.0.1:1" }, 403},
		"another_origin": {header("Origin", "http://evil.example"), 403},
		"no_origin":      {header("Origin", "null"), 403},
		"another_site":   {header("Sec-Fetch-Site", "cross-site"), 403},
		"same_site":      {header("Sec-Fetch-Site", "same-site"), 403},
		"its_own_page":   {header("Origin", "http://"+d.host), 200},
		"its_own_fetch":  {header("Sec-Fetch-Site", "same-origin"), 200},
	} {
		if status, text := d.ask("GET", "deployments", nil, c.change); status != c.status {
			t.Errorf("%s: %d %s, want %d", name, status, text, c.status)
		}
	}
	if _, err := console.New(console.Options{Token: "short"}); err == nil {
		t.Error("a short token is taken")
	}
	d.shut(t)
}

// shut tells that no shell opens without the token, nor from another site.
func (d *desk) shut(t *testing.T) {
	for name, o := range map[string]websocket.DialOptions{
		"no_token":       {Subprotocols: []string{"plexus.shell.v1"}},
		"another_token":  {Subprotocols: []string{"plexus.shell.v1", "plexus.token.guess"}},
		"another_origin": {Subprotocols: []string{"plexus.shell.v1", "plexus.token." + token}, HTTPHeader: http.Header{"Origin": {"http://evil.example"}}},
	} {
		_, resp, err := websocket.Dial(t.Context(), "http://"+d.host+"/console/v1/deployments/1/shell?service=web", &o) //nolint:bodyclose // the library has closed it
		if err == nil || resp == nil || resp.StatusCode != 401 && resp.StatusCode != 403 {
			t.Errorf("%s: %v, %v", name, resp, err)
		}
	}
}

func (d *desk) badBodies(t *testing.T) {
	for name, c := range map[string]struct {
		method, path string
		body         any
		status       int
		want         string
	}{
		"unknown_field":    {"POST", "sdl", map[string]string{"sdl": "", "more": ""}, 400, "more"},
		"no_object":        {"POST", "sdl", 7, 400, "body"},
		"huge":             {"POST", "sdl", map[string]string{"sdl": strings.Repeat("#", 2<<20)}, 400, "too large"},
		"faults":           {"POST", "deployments", map[string]string{"sdl": "version: \"2.0\""}, 422, `"line"`},
		"no_amount":        {"POST", "deployments", map[string]string{"sdl": tenanttest.SDL(""), "deposit": "much"}, 400, "much"},
		"more_than_it_has": {"POST", "deployments", map[string]string{"sdl": tenanttest.SDL(""), "deposit": "5000plx"}, 409, "this takes 5000plx"},
		"no_number":        {"GET", "deployments/x", nil, 400, "no number"},
		"no_deployment":    {"GET", "deployments/99", nil, 404, "not found"},
		"nothing_taken":    {"POST", "deployments/99/leases", map[string][]string{"bids": {}}, 400, "choose one"},
		"foreign_bid":      {"POST", "deployments/99/leases", map[string][]string{"bids": {"plx1x/99/1/1/plx1y"}}, 400, "no bid on deployment 99"},
		"no_topup":         {"POST", "deployments/99/topup", map[string]string{"amount": ""}, 400, "1plx"},
		"no_such_path":     {"GET", "keys", nil, 404, "docs/console.md"},
		"no_such_method":   {"PATCH", "deployments/1", nil, 404, "PATCH"},
	} {
		if status, text := d.ask(c.method, c.path, c.body); status != c.status || !strings.Contains(text, c.want) {
			t.Errorf("%s: %d %.300s, want %d with %q", name, status, text, c.status, c.want)
		}
	}
	plain := func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }
	if status, text := d.ask("POST", "sdl", map[string]string{"sdl": ""}, plain); status != 400 || !strings.Contains(text, "text/plain") {
		t.Errorf("a form's body: %d %s", status, text)
	}
}

// rents goes the wizard's way, and looks inside.
func (d *desk) rents(t *testing.T) {
	sdl := map[string]string{"sdl": tenanttest.SDL("")}
	var made struct {
		DSeq    uint64
		Deposit string
	}
	d.get(&made, "POST", "deployments", map[string]string{"sdl": sdl["sdl"], "deposit": "2plx"})
	one := fmt.Sprintf("deployments/%d", made.DSeq)
	if made.DSeq == 0 || made.Deposit != "2plx" {
		t.Fatalf("made %+v", made)
	}
	var bids struct {
		Bids []struct {
			ID, Provider string
			Rate         struct{ Hour string }
		}
	}
	d.follow(one+"/bids", func(text string) bool {
		return json.Unmarshal([]byte(text), &bids) == nil && len(bids.Bids) == 2
	})
	chosen := bids.Bids[1]
	d.get(&struct{}{}, "POST", one+"/leases", map[string][]string{"bids": {chosen.ID}})
	d.get(&struct{}{}, "POST", one+"/manifest", sdl)

	type state struct {
		Deployment struct {
			State string
			Rate  struct{ Hour string }
		}
		State *tenant.State
	}
	var s state
	tenanttest.Wait(t, "the replicas to run", func() bool {
		d.get(&s, "GET", one, nil)
		return s.State != nil && s.State.Ready
	})
	if s.Deployment.State != "active" || s.Deployment.Rate.Hour == "" || s.State.Leases[0].Provider != chosen.Provider || s.State.Runway.Blocks <= 0 {
		t.Errorf("%+v", s)
	}
	var list struct {
		Deployments []struct{ DSeq uint64 }
	}
	if d.get(&list, "GET", "deployments", nil); len(list.Deployments) != 1 {
		t.Errorf("list %+v", list)
	}
	d.streams(one, chosen.ID, chosen.Provider)
	d.shell(one)

	d.get(&struct{}{}, "PUT", one, map[string]string{"sdl": strings.ReplaceAll(sdl["sdl"], "app:v1", "app:v2")})
	var runway tenant.Runway
	if d.get(&runway, "POST", one+"/topup", map[string]string{"amount": "1plx"}); runway.Blocks <= s.State.Runway.Blocks {
		t.Errorf("runway %+v after %+v", runway, s.State.Runway)
	}
	d.get(&struct{}{}, "DELETE", one, nil)
	d.get(&s, "GET", one, nil)
	if s.Deployment.State != "closed" || s.State != nil {
		t.Errorf("after its end %+v", s)
	}
	if status, _ := d.ask("GET", one+"/shell?service=web", nil); status != 404 {
		t.Errorf("a shell after the end: %d", status)
	}
	d.past(one, chosen.ID)
}

// streams follows logs and events as they come.
func (d *desk) streams(one, lease, provider string) {
	engine := d.market.Providers[0].Engine
	if provider == d.market.Providers[1].Key.Address() {
		engine = d.market.Providers[1].Engine
	}
	replica := sandbox.ID{Lease: sandbox.Lease(lease), Service: "web", Replica: 1}
	engine.Print(replica, "first")
	d.follow(one+"/logs?service=web&replica=1&tail=10", func(text string) bool {
		if strings.Contains(text, "first") {
			engine.Print(replica, "second")
		}
		return strings.Contains(text, "second") && strings.Contains(text, `"group":1`)
	})
	d.follow(one+"/events", func(text string) bool { return strings.Contains(text, `"started"`) })
	d.follow(one+"/logs?tail=many", func(text string) bool { return strings.Contains(text, "tail is") })
	d.follow("deployments/99/events", func(text string) bool { return strings.Contains(text, "no lease") })
}

// shell types into a terminal inside a replica: what is typed comes back.
func (d *desk) shell(one string) {
	ctx, cancel := context.WithTimeout(d.t.Context(), 2*time.Minute)
	defer cancel()
	q := url.Values{"service": {"web"}, "command": {"sh -i"}, "rows": {"5"}, "columns": {"40"}}
	conn, _, err := websocket.Dial(ctx, "http://"+d.host+"/console/v1/"+one+"/shell?"+q.Encode(), &websocket.DialOptions{ //nolint:bodyclose // the library has closed it
		Subprotocols: []string{"plexus.shell.v1", "plexus.token." + token}, HTTPHeader: http.Header{"Origin": {"http://" + d.host}},
	})
	if err != nil {
		d.t.Fatal(err)
	}
	defer conn.CloseNow()
	if conn.Subprotocol() != "plexus.shell.v1" {
		d.t.Errorf("subprotocol %q", conn.Subprotocol())
	}
	for kind, text := range map[websocket.MessageType]string{websocket.MessageText: `{"resize":{"rows":9,"columns":90}}`, websocket.MessageBinary: "typed"} {
		if err := conn.Write(ctx, kind, []byte(text)); err != nil {
			d.t.Fatal(err)
		}
	}
	var heard string
	for !strings.Contains(heard, "typed") {
		_, text, err := conn.Read(ctx)
		if err != nil {
			d.t.Fatalf("%v after %q", err, heard)
		}
		heard += string(text)
	}
	if !strings.HasPrefix(heard, "sh -i\n") {
		d.t.Errorf("heard %q", heard)
	}
}

func TestPage(t *testing.T) {
	page := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "page") })
	c, err := console.New(console.Options{Token: token, Hosts: []string{"console.example"}, Page: page})
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]int{"console.example": 200, "CONSOLE.example": 200, "evil.example": 403} {
		w := httptest.NewRecorder()
		c.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://"+host+"/", nil))
		if w.Code != want {
			t.Errorf("%s: %d, want %d", host, w.Code, want)
		}
	}
}

// TestHold serves a console for a browser: go test ./console -run TestHold
// -hold 127.0.0.1:8090.
func TestHold(t *testing.T) {
	if *hold == "" {
		t.Skip("serves until interrupted: run it with -hold ADDRESS")
	}
	page, err := web.Handler()
	if err != nil {
		t.Fatal(err)
	}
	d := open(t, tenanttest.Open(t, "east", "west"), *hold, page)
	ctx, stop := signal.NotifyContext(t.Context(), os.Interrupt)
	defer stop()
	fmt.Printf("http://%s/#/console?token=%s\n", d.host, token)
	<-ctx.Done()
}

// past looks at what is left of a deployment of one lease that was closed.
func (d *desk) past(one, lease string) {
	d.t.Helper()
	var past struct{ Leases []tenant.Ended }
	d.get(&past, "GET", one+"/past", nil)
	if len(past.Leases) != 1 {
		d.t.Fatalf("leases that ended: %+v", past)
	}
	l := past.Leases[0]
	if l.ID != lease || l.Reason != "owner" || l.Closed < l.Opened || l.Ended.Before(l.Began) || l.Began.IsZero() || l.Cost == "0 nplx" {
		d.t.Errorf("a lease that ended: %+v", l)
	}
	q := "?lease=" + url.QueryEscape(lease)
	tenanttest.Wait(d.t, "the provider to have kept the lease", func() bool {
		_, text := d.ask("GET", one+"/past/events"+q, nil)
		return strings.Contains(text, `"end":true`)
	})
	if _, text := d.ask("GET", one+"/past/logs"+q, nil); !strings.Contains(text, `"text":"second"`) || !strings.Contains(text, `"end":true`) {
		d.t.Errorf("the log of a lease that ended: %s", text)
	}
	for name, path := range map[string]string{
		"no lease":      one + "/past/logs",
		"another's":     one + "/past/logs?lease=" + url.QueryEscape(strings.Replace(lease, "plx1", "plx2", 1)),
		"one not ended": one + "/past/events?lease=" + url.QueryEscape(strings.Replace(lease, "/1/1/", "/7/1/", 1)),
	} {
		if _, text := d.ask("GET", path, nil); !strings.Contains(text, `"error"`) {
			d.t.Errorf("%s: %s", name, text)
		}
	}
	var list struct{ Deployments []tenant.Listed }
	if d.get(&list, "GET", "deployments?all=true", nil); len(list.Deployments) == 0 || list.Deployments[0].Ended.IsZero() || list.Deployments[0].Closed == 0 {
		d.t.Errorf("deployments that ended: %+v", list)
	}
}

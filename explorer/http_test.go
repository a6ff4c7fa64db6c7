package explorer

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// ask asks the handler and decodes the answer.
func ask(t *testing.T, h http.Handler, path string) (int, map[string]any) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
	var v map[string]any
	d := json.NewDecoder(w.Body)
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return w.Code, v
}

// walk returns all items of a list by its pages.
func walk(t *testing.T, h http.Handler, path string, limit int, params url.Values) []string {
	t.Helper()
	if params == nil {
		params = url.Values{}
	}
	params.Set("limit", fmt.Sprint(limit))
	var all []string
	for range 10_000 {
		code, v := ask(t, h, path+"?"+params.Encode())
		items, ok := v["items"].([]any)
		if code != http.StatusOK || !ok || len(items) > limit {
			t.Fatalf("%s?%s: %d %v", path, params.Encode(), code, v)
		}
		for _, i := range items {
			b, _ := json.Marshal(i)
			all = append(all, string(b))
		}
		next, _ := v["next"].(string)
		if next == "" {
			return all
		}
		params.Set("cursor", next)
	}
	t.Fatalf("%s has no end", path)
	return nil
}

func TestPages(t *testing.T) {
	onBoth(t, func(t *testing.T, dsn string) {
		f := newFake(20, 6, 11)
		x := open(t, dsn)
		followTo(t, x, f, FollowOptions{Sample: 4})
		h := x.Handler()
		for _, l := range lists {
			all := walk(t, h, "/v1/"+l.name, maxPageSize, nil)
			rows := count(t, x, "SELECT COUNT(*) FROM "+l.name)
			if int64(len(all)) != rows || rows == 0 && l.name != "claims" {
				t.Errorf("%s has %d items and %d rows", l.name, len(all), rows)
			}
			if l.name == "validators" {
				continue // a page adds what they earned until then
			}
			small := walk(t, h, "/v1/"+l.name, 3, nil)
			if strings.Join(small, "\n") != strings.Join(all, "\n") {
				t.Errorf("%s: pages of 3 give %d items, one page gives %d, or another order", l.name, len(small), len(all))
			}
			up := walk(t, h, "/v1/"+l.name, 3, url.Values{"order": {"asc"}})
			for i := range up {
				if len(up) != len(all) || up[i] != all[len(all)-1-i] {
					t.Errorf("%s: ascending is not descending backwards", l.name)
					break
				}
			}
		}
	})
}

func TestFilters(t *testing.T) {
	onBoth(t, func(t *testing.T, dsn string) {
		f := newFake(20, 12, 12)
		x := open(t, dsn)
		followTo(t, x, f, FollowOptions{Sample: 4})
		h := x.Handler()
		who := f.people[2]
		for _, c := range []struct{ path, query string }{
			{"transfers?account=" + who, `SELECT COUNT(*) FROM transfers WHERE sender = $1 OR recipient = $1`},
			{"transfers?sender=" + who + "&kind=message", `SELECT COUNT(*) FROM transfers WHERE sender = $1 AND kind = 'message'`},
			{"txs?signer=" + who, `SELECT COUNT(*) FROM txs WHERE signer = $1`},
			{"neurons?account=" + who, `SELECT COUNT(*) FROM neurons WHERE account = $1`},
			{"balances?address=" + who + "&from=3&to=9", `SELECT COUNT(*) FROM balances WHERE address = $1 AND height BETWEEN 3 AND 9`},
			{"moves?validator=" + f.operator() + "&to=15", `SELECT COUNT(*) FROM moves WHERE $1 = $1 AND height <= 15`},
		} {
			path, query, _ := strings.Cut(c.path, "?")
			params, _ := url.ParseQuery(query)
			want := count(t, x, strings.ReplaceAll(c.query, "$1", "'"+who+"'"))
			if got := walk(t, h, "/v1/"+path, 2, params); int64(len(got)) != want || want == 0 {
				t.Errorf("%s gives %d items, want %d", c.path, len(got), want)
			}
		}
	})
}

func TestItems(t *testing.T) {
	onBoth(t, func(t *testing.T, dsn string) {
		f := newFake(20, 6, 13)
		x := open(t, dsn)
		followTo(t, x, f, FollowOptions{Sample: 4})
		h := x.Handler()
		var hash string
		if err := x.read.QueryRow(`SELECT hash FROM txs WHERE height = 7 AND idx = 3`).Scan(&hash); err != nil {
			t.Fatal(err)
		}
		for path, want := range map[string]map[string]any{
			"/v1/status":                                    {"chain_id": "fake", "height": json.Number("20"), "first": json.Number("1"), "balances_opened": true},
			"/v1/blocks/7":                                  {"height": json.Number("7"), "time": "2026-01-01T00:00:42Z", "txs": json.Number("6")},
			"/v1/txs/" + strings.ToLower(hash):              {"hash": hash, "height": json.Number("7"), "idx": json.Number("3")},
			"/v1/accounts/" + f.people[3]:                   {"balance": json.Number(fmt.Sprint(f.states[20].balances[f.people[3]]))},
			"/v1/subnets/1":                                 {"name": "one", "price": json.Number("500000"), "kind_params": map[string]any{"a": json.Number("1")}},
			"/v1/subnets/1/metagraph?height=12":             {"height": json.Number("10")},
			"/v1/validators/" + f.operator():                {"bonded": true, "reward": json.Number("4000000000"), "commission": json.Number("400000000")},
			"/v1/validators/" + f.operator() + "?window=1m": {"reward": json.Number("2000000000"), "span_seconds": json.Number("60")},
		} {
			code, got := ask(t, h, path)
			for k, v := range want {
				if code != http.StatusOK || fmt.Sprint(got[k]) != fmt.Sprint(v) {
					t.Errorf("%s: %d, %s is %v, want %v", path, code, k, got[k], v)
				}
			}
		}
		// The yield of the whole index: four rewards of 0.9 PLX on 5,000 in 19 times 6 s, for a year.
		_, v := ask(t, h, "/v1/validators/"+f.operator())
		apr, err := v["apr"].(json.Number).Float64()
		want := 4 * 0.9 / 5000 * year.Seconds() / (19 * 6)
		if err != nil || apr < want*0.98 || apr > want*1.02 {
			t.Errorf("apr %v, %v; want about %v", apr, err, want)
		}
		_, found := ask(t, h, "/v1/search?q="+f.people[3])
		if items := found["items"].([]any); len(items) != 1 || items[0].(map[string]any)["path"] != "/v1/accounts/"+f.people[3] {
			t.Errorf("search for an account: %v", found)
		}
	})
}

func TestRefusals(t *testing.T) {
	onBoth(t, func(t *testing.T, dsn string) {
		x := open(t, dsn)
		followTo(t, x, newFake(3, 1, 14), FollowOptions{})
		h := x.Handler()
		for path, want := range map[string]struct {
			code  int
			words string
		}{
			"/v1/blocks?limit=501":                        {400, "from 1 to 500"},
			"/v1/blocks?limit=1&limit=2":                  {400, "given 2 times"},
			"/v1/blocks?order=up":                         {400, "asc or desc"},
			"/v1/blocks?cursor=1.2":                       {400, "none that blocks gave"},
			"/v1/blocks?cursor=x":                         {400, "none that blocks gave"},
			"/v1/blocks?account=x":                        {400, "knows from, to, order, limit, cursor"},
			"/v1/subnets?from=x":                          {400, "give a whole number"},
			"/v1/accounts?from=1":                         {400, "no heights"},
			"/v1/blocks/x":                                {400, "give a whole number"},
			"/v1/blocks/99":                               {404, "no item with height"},
			"/v1/transfers/1":                             {404, "filter"},
			"/v1/nothing":                                 {404, "there are blocks, txs"},
			"/v2":                                         {404, "/v1 tells"},
			"/v1/validators?window=1s":                    {400, "1m to 2160h"},
			"/v1/validators/plx1":                         {404, "plxvaloper1"},
			"/v1/subnets/7/metagraph":                     {404, "no epoch"},
			"/v1/search?q=":                               {400, "q is empty"},
			"/v1/live?lists=accounts":                     {400, "does not stream"},
			"/v1/live?after=-1":                           {400, "height of the last block"},
			"/v1/txs?signer=" + strings.Repeat("a", 201):  {400, "at most 200"},
			"/v1/txs?signer=%00%27%3BDROP+TABLE+txs%3B--": {200, ""},
		} {
			code, v := ask(t, h, path)
			words := ""
			if e, ok := v["error"].(map[string]any); ok {
				words, _ = e["message"].(string)
			}
			if code != want.code || !strings.Contains(words, want.words) {
				t.Errorf("%s: %d %q, want %d %q", path, code, words, want.code, want.words)
			}
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/blocks", strings.NewReader("{}")))
		if w.Code != http.StatusMethodNotAllowed {
			t.Errorf("POST: %d, want %d", w.Code, http.StatusMethodNotAllowed)
		}
		if err := x.Close(); err != nil {
			t.Fatal(err)
		}
		if code, v := ask(t, h, "/v1/blocks"); code != http.StatusInternalServerError {
			t.Errorf("with a closed database: %d %v", code, v)
		}
	})
}

func TestMoneyIsExact(t *testing.T) {
	for v, want := range map[int64]string{0: "0", 1 << 53: "9007199254740992", 1<<53 + 1: `"9007199254740993"`, 1<<63 - 1: `"9223372036854775807"`} {
		b, err := json.Marshal(object{{column{"v", money}, v}})
		if err != nil || string(b) != `{"v":`+want+`}` {
			t.Errorf("%d becomes %s, %v; want %s", v, b, err, want)
		}
	}
}

// A news is an event of a stream.
type news struct{ event, id, data string }

// listen opens a stream and returns what comes in it.
func listen(t *testing.T, at, path, last string) <-chan news {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, at+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if last != "" {
		r.Header.Set("Last-Event-ID", last)
	}
	resp, err := http.DefaultClient.Do(r) //nolint:bodyclose // closed by who reads it, below
	if err != nil {
		t.Fatal(err)
	}
	if kind := resp.Header.Get("Content-Type"); kind != "text/event-stream" {
		t.Fatalf("%s is %s", path, kind)
	}
	all := make(chan news, 10_000)
	go func() {
		defer resp.Body.Close()
		defer close(all)
		var n news
		for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
			name, value, _ := strings.Cut(lines.Text(), ": ")
			switch name {
			case "event":
				n.event = value
			case "id":
				n.id = value
			case "data":
				n.data = value
			case "":
				if n.event != "" {
					all <- n
				}
				n = news{}
			}
		}
	}()
	return all
}

// next returns the next event of a stream.
func next(t *testing.T, all <-chan news) news {
	t.Helper()
	select {
	case n := <-all:
		return n
	case <-time.After(time.Minute):
		t.Fatal("no news in a minute")
		return news{}
	}
}

func TestLive(t *testing.T) {
	onBoth(t, func(t *testing.T, dsn string) {
		f := newFake(12, 4, 15)
		f.show(6)
		x := open(t, dsn)
		followTo(t, x, f, FollowOptions{})
		ctx, cancel := context.WithCancel(t.Context())
		s := httptest.NewUnstartedServer(x.Handler())
		s.Config.BaseContext = baseContext(ctx)
		s.Start()
		t.Cleanup(func() { cancel(); s.Close() })

		fresh := listen(t, s.URL, "/v1/live?lists=blocks,txs", "")
		again := listen(t, s.URL, "/v1/live?lists=blocks", "3")
		for want := 4; want <= 6; want++ {
			if n := next(t, again); n.event != "blocks" || n.id != fmt.Sprint(want) {
				t.Fatalf("after block 3 comes %+v, want block %d", n, want)
			}
		}
		f.show(8)
		followTo(t, x, f, FollowOptions{})
		for _, id := range []string{"7", "8"} {
			for i := range 5 {
				n := next(t, fresh)
				want := "txs"
				if i == 0 {
					want = "blocks"
				}
				if n.event != want || n.id != id || !json.Valid([]byte(n.data)) {
					t.Fatalf("news %+v, want one of %s of block %s", n, want, id)
				}
			}
		}
		if n := next(t, again); n.id != "7" {
			t.Errorf("the resumed stream goes on with %+v, want block 7", n)
		}

		who := f.people[4]
		mine := listen(t, s.URL, "/v1/live?lists=transfers&after=0&account="+who, "")
		for range count(t, x, `SELECT COUNT(*) FROM transfers WHERE sender = $1 OR recipient = $1`, who) {
			if n := next(t, mine); !strings.Contains(n.data, who) {
				t.Errorf("news of %s: %+v", who, n)
			}
		}
	})
}

func TestLiveSkipsWhatIsTooMuch(t *testing.T) {
	onBoth(t, func(t *testing.T, dsn string) {
		x := open(t, dsn)
		for h := range 1200 {
			if _, err := x.write.Exec(`INSERT INTO blocks (height, time, hash, proposer, txs, failed, minted, burned) VALUES ($1, 0, '', '', 0, 0, 0, 0)`, h+1); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		s := httptest.NewUnstartedServer(x.Handler())
		s.Config.BaseContext = baseContext(ctx)
		s.Start()
		t.Cleanup(func() { cancel(); s.Close() })
		all := listen(t, s.URL, "/v1/live?after=5", "")
		if n := next(t, all); n.event != "gap" || n.data != `{"from":6,"to":1199}` {
			t.Errorf("after a long break comes %+v, want a gap", n)
		}
		if n := next(t, all); n.event != "blocks" || n.id != "1200" {
			t.Errorf("after the gap comes %+v, want block 1200", n)
		}
	})
}

// baseContext makes requests end with ctx.
func baseContext(ctx context.Context) func(net.Listener) context.Context {
	return func(net.Listener) context.Context { return ctx }
}

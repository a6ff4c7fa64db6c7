package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/plexus-network/plexus/coin"
	"github.com/plexus-network/plexus/gateway/access"
	"github.com/plexus-network/plexus/gateway/receipt"
	"github.com/plexus-network/plexus/gateway/store"
	"github.com/plexus-network/plexus/subnet"
	"github.com/plexus-network/plexus/wallet"
)

// hamlet is a chain whose epoch stands still; one account has all the stake.
type hamlet struct{ rich string }

func (hamlet) Epoch(context.Context) (access.Epoch, error) {
	return access.Epoch{Number: 3, Next: 80, Left: 14 * time.Second, Length: 20 * time.Second}, nil
}

func (h hamlet) Stake(_ context.Context, account string) (own, all coin.Amount, err error) {
	if account == h.rich {
		own = coin.PLX
	}
	return own, coin.PLX, nil
}

var (
	dora   = wallet.Derive("gateway", "dora")
	hotkey = wallet.Derive("gateway", "validator.hot")
)

// guardedNet is a gateway with quotas and receipts.
type guardedNet struct {
	*Gateway
	access *access.Access
	db     *store.DB
}

func guard(t testing.TB, n Backend, o access.Options) guardedNet {
	t.Helper()
	db, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "g.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	o.Chain = hamlet{dora.Address()}
	a, err := access.New(t.Context(), db, o)
	if err != nil {
		t.Fatal(err)
	}
	g, err := New(Config{
		Models: []Model{{
			Name: "toy", Backend: n, Tokenizer: bytewise{}, Context: 4096, Netuid: 1,
			Validator: subnet.Peer{UID: 40, Account: "plx1v", PeerID: "12D3v"}, Manifest: [32]byte{1},
		}},
		Limits: Limits{Explore: -1}, Access: a, Proxies: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")},
		Receipts: receipt.NewArchive(db, receipt.Options{Key: hotkey, ChainID: "plexus-test"}),
	})
	if err != nil {
		t.Fatal(err)
	}
	return guardedNet{g, a, db}
}

// call sends a request with a key.
func (g guardedNet) call(t testing.TB, method, path, key, body string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	if key != "" {
		r.Header.Set("Authorization", "Bearer "+key)
	}
	g.Handler().ServeHTTP(w, r)
	return w
}

// signIn signs in as dora and returns her key.
func (g guardedNet) signIn(t testing.TB) string {
	t.Helper()
	var asked struct{ Challenge string }
	w := g.call(t, "POST", "/v1/auth/challenge", "", `{"address":"`+dora.Address()+`"}`)
	if err := json.Unmarshal(w.Body.Bytes(), &asked); err != nil || w.Code != 200 {
		t.Fatalf("challenge: %d %s", w.Code, w.Body)
	}
	signature, err := dora.SignText(asked.Challenge)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := json.Marshal(map[string]any{
		"address": dora.Address(), "challenge": asked.Challenge, "public_key": dora.PubKey().Bytes(), "signature": signature,
	})
	var got struct{ Key, ID string }
	w = g.call(t, "POST", "/v1/auth/login", "", string(body))
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != 200 || !strings.HasPrefix(got.Key, access.Prefix) {
		t.Fatalf("login: %d %s", w.Code, w.Body)
	}
	if w := g.call(t, "POST", "/v1/auth/login", "", string(body)); w.Code != 401 || *read(t, w).Error.Code != "invalid_login" {
		t.Errorf("the same login again: %d %s", w.Code, w.Body)
	}
	return got.Key
}

func TestSignInAndKeys(t *testing.T) {
	g := guard(t, fakes(honest("hello")), access.Options{Floor: 100, Shared: 50})
	key := g.signIn(t)
	for name, path := range map[string]string{"no key": "", "another's key": "sk-other", "a wrong key": access.Prefix + "wrong"} {
		if w := g.call(t, "POST", "/v1/chat/completions", path, hello+`}`); w.Code != 401 || *read(t, w).Error.Code != "invalid_api_key" {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
	w := g.call(t, "POST", "/v1/chat/completions", key, hello+`,"max_tokens":20}`)
	prompt := len("user: hello\nassistant: ")
	used := prompt + len("hello")
	if h := w.Header(); w.Code != 200 || h.Get("X-Ratelimit-Limit-Tokens") != "1000" ||
		h.Get("X-Ratelimit-Remaining-Tokens") != fmt.Sprint(1000-prompt-20) || h.Get("X-Ratelimit-Reset-Tokens") == "" {
		t.Errorf("%d %s with %v", w.Code, w.Body, h)
	}
	var account accountReport
	w = g.call(t, "GET", "/v1/account", key, "")
	if err := json.Unmarshal(w.Body.Bytes(), &account); err != nil || w.Code != 200 {
		t.Fatalf("account: %d %s", w.Code, w.Body)
	}
	if q := account.Quota; account.Address != dora.Address() || q.Tier != access.Stake || q.Limit != 1000 || q.Used != int64(used) ||
		q.Remaining != int64(1000-used) || q.Height != 80 || account.Stake != coin.PLX {
		t.Errorf("account %+v", account)
	}
	if u := account.Usage; len(u) != 1 || u[0].Model != "toy" || u[0].Prompt+u[0].Completion != int64(used) || u[0].Requests != 1 {
		t.Errorf("usage %+v", u)
	}

	var made struct{ Key, ID, Prefix, Name string }
	w = g.call(t, "POST", "/v1/keys", key, `{"name":"phone","limit":50}`)
	if err := json.Unmarshal(w.Body.Bytes(), &made); err != nil || w.Code != 200 || made.Name != "phone" || !strings.HasPrefix(made.Key, made.Prefix) {
		t.Fatalf("a new key: %d %s", w.Code, w.Body)
	}
	w = g.call(t, "POST", "/v1/chat/completions", made.Key, hello+`,"max_tokens":40}`)
	if a := read(t, w); w.Code != 429 || !strings.Contains(a.Error.Message, "this key") || w.Header().Get("X-Should-Retry") != "false" {
		t.Errorf("beyond the key's limit: %d %s", w.Code, w.Body)
	}
	if w := g.call(t, "GET", "/v1/keys", key, ""); w.Code != 200 || strings.Contains(w.Body.String(), made.Key) || strings.Count(w.Body.String(), `"id"`) != 2 {
		t.Errorf("keys: %d %s", w.Code, w.Body)
	}
	if w := g.call(t, "DELETE", "/v1/keys/"+made.ID, key, ""); w.Code != 200 {
		t.Errorf("revoke: %d %s", w.Code, w.Body)
	}
	if w := g.call(t, "DELETE", "/v1/keys/"+made.ID, key, ""); w.Code != 404 {
		t.Errorf("revoke again: %d %s", w.Code, w.Body)
	}
	if w := g.call(t, "GET", "/v1/account", made.Key, ""); w.Code != 401 {
		t.Errorf("the revoked key: %d %s", w.Code, w.Body)
	}
	operator, _, err := g.access.CreateKey(t.Context(), "", "ops", 100, 0)
	if err != nil {
		t.Fatal(err)
	}
	if w := g.call(t, "GET", "/v1/keys", operator, ""); w.Code != 403 {
		t.Errorf("an operator's key lists keys: %d %s", w.Code, w.Body)
	}
	for path, body := range map[string]string{
		"/v1/auth/challenge": `{"address":"nobody"}`, "/v1/auth/login": `{`, "/v1/keys": `{"limit":-1}`,
	} {
		if w := g.call(t, "POST", path, key, body); w.Code != 400 {
			t.Errorf("%s takes %s: %d %s", path, body, w.Code, w.Body)
		}
	}
	if w := g.call(t, "POST", "/v1/auth/challenge", "", strings.Repeat(" ", 20<<10)); w.Code != 413 {
		t.Errorf("a great body: %d", w.Code)
	}
}

func TestQuotaIsRefusedWithNumbers(t *testing.T) {
	m := honest("he", "llo")
	g := guard(t, fakes(m), access.Options{Anonymous: 60})
	ask := func(body, via string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(t.Context(), "POST", "/v1/chat/completions", strings.NewReader(hello+body))
		r.Header.Set("X-Forwarded-For", via)
		r.Header.Set("Authorization", "Bearer any-key-will-do")
		g.Handler().ServeHTTP(w, r)
		return w
	}
	if w := ask(`,"max_tokens":20}`, "198.51.100.1"); w.Code != 200 {
		t.Fatalf("within the trickle: %d %s", w.Code, w.Body)
	}
	w := ask(`,"max_tokens":20,"stream":true}`, "198.51.100.1")
	a := read(t, w)
	if w.Code != 429 || a.Error.Type != "rate_limit_error" || *a.Error.Code != "rate_limit_exceeded" {
		t.Fatalf("beyond the trickle: %d %s", w.Code, w.Body)
	}
	for _, part := range []string{"43 tokens", "of the 60", "32 are left", "block 80", "plexus login"} {
		if !strings.Contains(a.Error.Message, part) {
			t.Errorf("the message %q lacks %q", a.Error.Message, part)
		}
	}
	if h := w.Header(); h.Get("Retry-After") != "14" || h.Get("Retry-After-Ms") == "" || h.Get("X-Ratelimit-Remaining-Tokens") != "32" {
		t.Errorf("headers %v", h)
	}
	if w := ask(`,"max_tokens":20}`, "198.51.100.2"); w.Code != 200 {
		t.Errorf("another address: %d %s", w.Code, w.Body)
	}
	if w := ask(`,"max_tokens":20}`, "198.51.100.2, 198.51.100.1"); w.Code != 429 {
		t.Errorf("an address that the client made up before its own: %d %s", w.Code, w.Body)
	}
	if w := ask(`,"max_tokens":200}`, "198.51.100.3"); w.Code != 429 || w.Header().Get("X-Should-Retry") != "false" || !strings.Contains(w.Body.String(), "never fit") {
		t.Errorf("what never fits: %d %s", w.Code, w.Body)
	}
}

func TestBrokenStreamIsPaidAsFarAsItCame(t *testing.T) {
	m := honest("ab", "cd", "ef")
	m.dieAt, m.step = 2, 20*time.Millisecond
	g := guard(t, fakes(m), access.Options{Floor: 100})
	key := g.signIn(t)
	w := g.call(t, "POST", "/v1/chat/completions", key, hello+`,"stream":true}`)
	_, said := readStream(t, w.Body)
	c, err := g.access.Identify(t.Context(), key, netip.Addr{})
	if err != nil {
		t.Fatal(err)
	}
	use, err := g.access.Usage(t.Context(), c)
	if err != nil || said != "abcd" || len(use) != 1 || use[0].Completion != int64(len(said)) {
		t.Errorf("said %q, paid for %+v; %v", said, use, err)
	}
	var held int
	if err := g.db.Row(t.Context(), `SELECT COUNT(*) FROM holds`).Scan(&held); err != nil || held != 0 {
		t.Errorf("%d holds are left, %v", held, err)
	}
}

func TestReceiptOfAnAnswer(t *testing.T) {
	for _, stream := range []string{"false", "true"} {
		t.Run("stream "+stream, func(t *testing.T) {
			g := guard(t, fakes(honest("Par", "is"), cheat("London")), access.Options{Anonymous: 1 << 20})
			w := g.call(t, "POST", "/v1/chat/completions", "", hello+`,"stream":`+stream+`}`)
			id := w.Header().Get("X-Receipt-Id")
			if w.Code != 200 || id == "" || !strings.Contains(w.Body.String(), `"receipt":"`+id+`"`) {
				t.Fatalf("%d %s with receipt %q", w.Code, w.Body, id)
			}
			g.late.Wait()
			w = g.call(t, "GET", "/v1/receipts/"+id, "", "")
			rec, err := receipt.Decode(w.Body.Bytes())
			if err != nil || w.Code != 200 {
				t.Fatalf("%d %s: %v", w.Code, w.Body, err)
			}
			text := "Paris"
			if f := receipt.Verify(rec, receipt.Known{Text: &text, Hotkey: hotkey.Address()}); !f.Valid {
				t.Errorf("found %+v", f)
			}
			r, _, err := rec.Envelope.Open()
			if err != nil {
				t.Fatal(err)
			}
			if *r.Tokens != receipt.Tokens([]int32{'P', 'a', 'r', 'i', 's'}) || r.Usage.Completion != 5 || r.Netuid != 1 || r.Height != 77 ||
				r.Prompt != receipt.MessagesPrompt([]receipt.Message{{Role: "user", Content: "hello"}}) || r.Manifest != (receipt.Hash{1}) ||
				r.Validator.UID != 40 || r.ChainID != "plexus-test" || r.Model != "toy" {
				t.Errorf("receipt %+v", r)
			}
			if len(r.Miners) != 2 || !r.Miners[0].Chosen || r.Miners[0].Verdict != "accepted" || r.Miners[1].Verdict != "rejected" || r.Miners[1].Chosen {
				t.Errorf("miners %+v", r.Miners)
			}
		})
	}
	t.Run("none", func(t *testing.T) {
		g := guard(t, fakes(honest("x")), access.Options{Anonymous: 1})
		if w := g.call(t, "GET", "/v1/receipts/rcpt_none", "", ""); w.Code != 404 || *read(t, w).Error.Code != "receipt_not_found" {
			t.Errorf("got %d %s", w.Code, w.Body)
		}
		if w := g.call(t, "GET", "/v1/receipts", "", ""); w.Code != http.StatusOK {
			t.Errorf("roots: %d %s", w.Code, w.Body)
		}
	})
}

// What put an answer first stands in its receipt, and can be counted again.
func TestReceiptHoldsWhatChose(t *testing.T) {
	say := func(value float64, logprob float32, says ...string) *fakeMiner {
		m := honest(says...)
		m.score.Value, m.logprob, m.score.Checked = value, logprob, true
		m.judges = "2"
		return m
	}
	for options, want := range map[string]struct{ by, proved string }{
		`"strategy":"best"`:                                     {receipt.ByScore, "no other of the 2 answers"},
		`"strategy":"best","verified_only":true`:                {receipt.ByScore, "no other of the 1 answers"},
		`"strategy":"best-of-k","by":"logprob"`:                 {receipt.ByLogProb, "mean log-probability"},
		`"strategy":"best-of-k","by":"judge"`:                   {receipt.ByJudge, "was asked about the others"},
		`"strategy":"merge"`:                                    {receipt.ByMerge, "was asked about the others"},
		`"strategy":"vote"`:                                     {receipt.ByVotes, "the greatest weight, 1.1, of 2 that 3 miners"},
		`"strategy":"vote","extract":"json"`:                    {receipt.ByScore, "no other"},
		`"strategy":"first"`:                                    {receipt.ByFirst, "signed by the hotkey"},
		`"strategy":"best"},"n":2,"x":{`:                        {receipt.ByScore, "no other of the 1 answers"},
		`"strategy":"first"},"n":2,"x":{`:                       {receipt.ByFirst, "signed by the hotkey"},
		`"strategy":"best-of-k","by":"logprob"},"n":2,"x":{`:    {receipt.ByLogProb, "no other of the 1 answers"},
		`"strategy":"best-of-k","by":"score","miners":1`:        {receipt.ByScore, "no other of the 0 answers"},
		`"strategy":"best-of-k","by":"judge","miners":1`:        {receipt.ByScore, "no other of the 0 answers"},
		`"strategy":"merge","miners":1`:                         {receipt.ByScore, "no other of the 0 answers"},
		`"strategy":"best","miners":4,"candidates":true`:        {receipt.ByScore, "no other of the 2 answers"},
		`"strategy":"best-of-k","by":"logprob","min_score":0.1`: {receipt.ByLogProb, "no other of the 2 answers"},
	} {
		for _, stream := range []string{"false", "true"} {
			unexamined := say(0.95, -0.1, "It is 7")
			unexamined.score.Checked = !strings.Contains(options, "verified")
			g := guard(t, fakes(say(0.6, -0.3, "So 4"), say(0.5, -0.2, "4."), unexamined, cheat("4")), access.Options{Anonymous: 1 << 20})
			w := g.call(t, "POST", "/v1/chat/completions", "", hello+`,"stream":`+stream+`,"plexus":{`+options+`}}`)
			g.late.Wait()
			w = g.call(t, "GET", "/v1/receipts/"+w.Header().Get("X-Receipt-Id"), "", "")
			rec, err := receipt.Decode(w.Body.Bytes())
			if err != nil {
				t.Fatalf("%s: %v: %s", options, err, w.Body)
			}
			f := receipt.Verify(rec, receipt.Known{Hotkey: hotkey.Address()})
			r, _, _ := rec.Envelope.Open()
			if !f.Valid || r.Ranked != want.by || !strings.Contains(strings.Join(f.Proved, "\n"), want.proved) {
				t.Errorf("%s, stream %s: ranked by %q, found %+v, want %q\n%s", options, stream, r.Ranked, f, want.proved, rec.Receipt)
			}
		}
	}
}

func TestMaxPrice(t *testing.T) {
	g := guard(t, fakes(honest("Paris")), access.Options{Price: 1000, Deposits: "plx1v", Floor: 1, Shared: 1, Anonymous: 1 << 20})
	key := g.signIn(t)
	if _, err := g.db.Exec(t.Context(), `INSERT INTO balances (account, deposited, spent, dust, held) VALUES ($1, 1000000, 0, 0, 0)`, dora.Address()); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		key, options string
		status       int
	}{
		{key, ``, 200},
		{key, `,"plexus":{"max_price":1000}`, 200},
		{key, `,"plexus":{"max_price":999}`, 402},
		{key, `,"plexus":{"max_price":0},"stream":true,"n":2`, 402},
		{key, `,"plexus":{"max_price":-1}`, 400},
		{key, `,"plexus":{"max_price":"1"}`, 400},
		{"", `,"plexus":{"max_price":0}`, 200}, // within a quota nothing is paid
	} {
		w := g.call(t, "POST", "/v1/chat/completions", c.key, hello+c.options+`}`)
		if w.Code != c.status {
			t.Errorf("%s: %d %s, want %d", c.options, w.Code, w.Body, c.status)
		}
		if c.status == 402 {
			if a := read(t, w); deref(a.Error.Param) != "plexus.max_price" || !strings.Contains(a.Error.Message, "cost 1000 nplx") {
				t.Errorf("%s: %s", c.options, w.Body)
			}
		}
	}
	g.late.Wait()
	if body := g.call(t, "GET", "/v1/models/toy", "", "").Body.String(); !strings.Contains(body, `"price_nplx":"1000"`) && !strings.Contains(body, `"price_nplx":1000`) {
		t.Errorf("models: %s", body)
	}
}

package access

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/plexus-network/plexus/coin"
	"github.com/plexus-network/plexus/gateway/store"
	"github.com/plexus-network/plexus/gateway/store/storetest"
	"github.com/plexus-network/plexus/ledger"
	"github.com/plexus-network/plexus/wallet"
	"github.com/plexus-network/plexus/yuma"
)

// village is a chain that tests turn by hand.
type village struct {
	mu     sync.Mutex
	epoch  Epoch
	stakes map[string]coin.Amount
	blocks []*ledger.Block
	down   bool
}

func newVillage() *village {
	return &village{
		epoch:  Epoch{Number: 7, Next: 140, Left: 9 * time.Second, Length: 20 * time.Second},
		stakes: map[string]coin.Amount{},
	}
}

var errDown = errors.New("the chain is down")

func (v *village) Epoch(context.Context) (Epoch, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.down {
		return Epoch{}, errDown
	}
	return v.epoch, nil
}

func (v *village) Stake(_ context.Context, account string) (own, all coin.Amount, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.down {
		return 0, 0, errDown
	}
	for _, s := range v.stakes {
		all += s
	}
	return v.stakes[account], all, nil
}

func (v *village) Head(context.Context) (ledger.Head, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return ledger.Head{Height: yuma.Height(len(v.blocks))}, nil
}

func (v *village) Block(_ context.Context, at yuma.Height) (*ledger.Block, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if at == 0 || int(at) > len(v.blocks) {
		return nil, ledger.ErrNotFound
	}
	return v.blocks[at-1], nil
}

// turn begins the next epoch.
func (v *village) turn() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.epoch.Number++
}

func open(t testing.TB, db *store.DB, o Options) *Access {
	t.Helper()
	if o.Chain == nil {
		o.Chain = newVillage()
	}
	a, err := New(t.Context(), db, o)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// forget makes a look at the chain and the database again.
func (a *Access) forget() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.looked = time.Time{}
	clear(a.shares)
}

var (
	alice = wallet.Derive("access", "alice")
	bob   = wallet.Derive("access", "bob")
	home  = netip.MustParseAddr("192.0.2.7")
)

// caller is an account with a key.
func caller(t testing.TB, a *Access, account string, limit int64) Caller {
	t.Helper()
	key, _, err := a.CreateKey(t.Context(), account, "test", limit, 0)
	if err != nil {
		t.Fatal(err)
	}
	c, err := a.Identify(t.Context(), key, home)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// remaining is what a caller has left.
func remaining(t testing.TB, a *Access, c Caller) int64 {
	t.Helper()
	s, err := a.Standing(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return s.Remaining
}

func TestKeys(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		a := open(t, db, Options{})
		key, k, err := a.CreateKey(t.Context(), alice.Address(), "laptop", 500, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(key, k.Prefix) || len(key) < 60 || len(k.Prefix) > 20 {
			t.Errorf("key %q shows %q", key, k.Prefix)
		}
		var found int
		if err := db.Row(t.Context(), `SELECT COUNT(*) FROM keys WHERE hash = $1 OR prefix = $1 OR id = $1`, key).Scan(&found); err != nil || found != 0 {
			t.Errorf("the key itself is in the database: %d, %v", found, err)
		}
		if c, err := a.Identify(t.Context(), key, home); err != nil || c.Account != alice.Address() || c.Limit != 500 || c.Key != k.ID {
			t.Errorf("the key is of %+v, %v", c, err)
		}
		if _, err := a.Identify(t.Context(), key+"x", home); !errors.Is(err, ErrBadKey) {
			t.Errorf("another key: %v", err)
		}
		if _, err := a.Identify(t.Context(), "sk-anything", home); !errors.Is(err, ErrNeedsKey) {
			t.Errorf("somebody else's key where nobody is let in without one: %v", err)
		}
		if list, err := a.Keys(t.Context(), alice.Address()); err != nil || len(list) != 1 || list[0] != k {
			t.Errorf("list %+v, want %+v; %v", list, k, err)
		}
		if err := a.RevokeKey(t.Context(), bob.Address(), k.ID); !errors.Is(err, ErrBadKey) {
			t.Errorf("bob revokes alice's key: %v", err)
		}
		if err := a.RevokeKey(t.Context(), alice.Address(), k.ID); err != nil {
			t.Error(err)
		}
		if _, err := a.Identify(t.Context(), key, home); !errors.Is(err, ErrBadKey) || !strings.Contains(err.Error(), "revoked") {
			t.Errorf("a revoked key: %v", err)
		}
		old, _, err := a.CreateKey(t.Context(), alice.Address(), "", 0, time.Nanosecond)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Millisecond)
		if _, err := a.Identify(t.Context(), old, home); !errors.Is(err, ErrBadKey) || !strings.Contains(err.Error(), "expired") {
			t.Errorf("an expired key: %v", err)
		}
		if _, _, err := a.CreateKey(t.Context(), "", "ops", 0, 0); !errors.Is(err, ErrBadLimit) {
			t.Errorf("an operator's key without a quota: %v", err)
		}
		if _, _, err := a.CreateKey(t.Context(), "", "two\nlines", 1, 0); !errors.Is(err, ErrBadName) {
			t.Errorf("a name of two lines: %v", err)
		}
		for i := 0; ; i++ {
			_, _, err := a.CreateKey(t.Context(), bob.Address(), "", 0, 0)
			if errors.Is(err, ErrTooManyKeys) && i == maxKeys {
				break
			}
			if err != nil || i > maxKeys {
				t.Fatalf("key %d: %v", i, err)
			}
		}
	})
}

func TestLogin(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		a := open(t, db, Options{Name: "gateway.example"})
		text, expires, err := a.Challenge(alice.Address())
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range []string{"gateway.example", alice.Address(), expires.Format(time.RFC3339)} {
			if !strings.Contains(text, part) {
				t.Errorf("the challenge lacks %s:\n%s", part, text)
			}
		}
		sign := func(text string) []byte {
			sig, err := alice.SignText(text)
			if err != nil {
				t.Fatal(err)
			}
			return sig
		}
		pub := alice.PubKey().Bytes()
		forged := strings.Replace(text, "gateway.example", "gateway.evil", 1)
		late := open(t, db, Options{Name: "gateway.example", Challenge: time.Nanosecond})
		stale, _, _ := late.Challenge(alice.Address())
		for name, err := range map[string]error{
			"forged":         second(a.Login(t.Context(), alice.Address(), forged, pub, sign(forged))),
			"more text":      second(a.Login(t.Context(), alice.Address(), text+"\n", pub, sign(text+"\n"))),
			"expired":        second(a.Login(t.Context(), alice.Address(), stale, pub, sign(stale))),
			"another signer": second(a.Login(t.Context(), alice.Address(), text, bob.PubKey().Bytes(), sign(text))),
			"another text":   second(a.Login(t.Context(), alice.Address(), text, pub, sign("hello"))),
			"for another":    second(a.Login(t.Context(), bob.Address(), text, pub, sign(text))),
			"empty":          second(a.Login(t.Context(), alice.Address(), "", pub, nil)),
		} {
			if !errors.Is(err, ErrLogin) {
				t.Errorf("%s: got %v, want ErrLogin", name, err)
			}
		}
		other := open(t, db, Options{Name: "gateway.example"}) // shares the database
		key, k, err := other.Login(t.Context(), alice.Address(), text, pub, sign(text))
		if err != nil || k.Account != alice.Address() || k.Expires.IsZero() {
			t.Fatalf("login: %+v, %v", k, err)
		}
		if c, err := a.Identify(t.Context(), key, home); err != nil || c.Account != alice.Address() {
			t.Errorf("the key is of %+v, %v", c, err)
		}
		if _, _, err := a.Login(t.Context(), alice.Address(), text, pub, sign(text)); !errors.Is(err, ErrLogin) || !strings.Contains(err.Error(), "before") {
			t.Errorf("the same challenge again: %v", err)
		}
	})
}

func second(_ string, _ Key, err error) error { return err }

func TestStakeSharesCapacity(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		v := newVillage()
		v.stakes[alice.Address()], v.stakes[bob.Address()] = 3*coin.PLX, coin.PLX
		a := open(t, db, Options{Chain: v, Capacity: func() int64 { return 1000 }}) // 20,000 tokens an epoch
		c := caller(t, a, alice.Address(), 0)
		s, err := a.Standing(t.Context(), c)
		if err != nil || s.Tier != Stake || s.Limit != 12_000 || s.Remaining != 12_000 || s.Own != 3*coin.PLX || s.Next != 140 {
			t.Fatalf("standing %+v, %v; want three quarters of 80 %% of 20,000", s, err)
		}
		h, s, err := a.Reserve(t.Context(), c, "toy", 1000, 9000)
		if err != nil || s.Remaining != 2000 {
			t.Fatalf("reserve: %+v, %v", s, err)
		}
		var short *Exhausted
		if _, _, err := a.Reserve(t.Context(), c, "toy", 1, 2000); !errors.As(err, &short) || short.Wanted != 2001 || short.Left != 2000 {
			t.Errorf("more than is left: %v", err)
		}
		if err := h.Spend(t.Context(), 1000, 40); err != nil {
			t.Error(err)
		}
		if err := h.Settle(t.Context(), 1000, 40); err != nil {
			t.Error(err)
		}
		if err := h.Settle(t.Context(), 1000, 40); !errors.Is(err, ErrLapsed) {
			t.Errorf("settled twice: %v", err)
		}
		if got := remaining(t, a, c); got != 12_000-1040 {
			t.Errorf("%d left, want 10,960", got)
		}
		// Undelegated: nothing is left at once. Delegated again: not before the next epoch.
		v.stakes[alice.Address()] = 0
		a.forget()
		if _, _, err := a.Reserve(t.Context(), c, "toy", 1, 1); !errors.As(err, &short) || short.Standing.Tier != Anonymous {
			t.Errorf("after undelegation: %v", err)
		}
		v.stakes[alice.Address()] = coin.PLX
		a.forget()
		if got := remaining(t, a, c); got != 12_000-1040 {
			t.Errorf("%d left of the epoch", got)
		}
		if h, s, err = a.Reserve(t.Context(), c, "toy", 1, 1); err != nil || s.Limit != 8000 {
			t.Errorf("half of the stake gives %d, want half of what is shared; %v", s.Limit, err)
		}
		v.turn()
		a.forget()
		if got := remaining(t, a, c); got != 8000 {
			t.Errorf("%d in the next epoch, want 8,000", got)
		}
		if err := h.Settle(t.Context(), 1, 0); err != nil {
			t.Error(err)
		}
		use, err := a.Usage(t.Context(), c)
		if err != nil || len(use) != 1 || use[0].Prompt != 1001 || use[0].Completion != 40 || use[0].Requests != 2 || use[0].Model != "toy" {
			t.Errorf("usage %+v, %v", use, err)
		}
		v.down = true
		a.forget()
		if _, err := a.Standing(t.Context(), c); !errors.Is(err, ErrUnavailable) {
			t.Errorf("stake that nobody knows: %v", err)
		}
	})
}

func TestKeyHasABudgetOfItsOwn(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		v := newVillage()
		v.stakes[alice.Address()] = coin.PLX
		a := open(t, db, Options{Chain: v, Floor: 1000})
		c := caller(t, a, alice.Address(), 100)
		h, _, err := a.Reserve(t.Context(), c, "toy", 10, 60)
		if err != nil {
			t.Fatal(err)
		}
		var short *Exhausted
		if _, _, err := a.Reserve(t.Context(), c, "toy", 0, 31); !errors.As(err, &short) || short.Key != 100 || short.Left != 30 {
			t.Errorf("beyond the key's limit: %v", err)
		}
		if err := h.Settle(t.Context(), 10, 10); err != nil {
			t.Fatal(err)
		}
		if _, _, err := a.Reserve(t.Context(), c, "toy", 0, 80); err != nil {
			t.Errorf("what is left of the key's limit: %v", err)
		}
	})
}

func TestOperatorAndAnonymous(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		a := open(t, db, Options{Anonymous: 50})
		op := caller(t, a, "", 1000)
		if s, err := a.Standing(t.Context(), op); err != nil || s.Tier != Operator || s.Limit != 1000 {
			t.Errorf("operator's key: %+v, %v", s, err)
		}
		for from, left := range map[string]int64{"192.0.2.1": 10, "2001:db8::1": 10, "2001:db8::2": 10, "192.0.2.2": 50, "2001:db8:0:1::1": 50} {
			c, err := a.Identify(t.Context(), "sk-of-another-service", netip.MustParseAddr(from))
			if err != nil {
				t.Fatal(err)
			}
			if left == 10 && remaining(t, a, c) == 50 {
				if _, _, err := a.Reserve(t.Context(), c, "toy", 20, 20); err != nil {
					t.Fatal(err)
				}
			}
			if got := remaining(t, a, c); got != left {
				t.Errorf("%s has %d left, want %d", from, got, left)
			}
		}
	})
}

func TestPrepaidIsExact(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		a := open(t, db, Options{Price: 7, Deposits: "plx1gateway"}) // 7 nplx per 1,000 tokens
		_, err := db.Exec(t.Context(), `INSERT INTO balances (account, deposited, spent, dust, held) VALUES ($1, 10, 0, 0, 0)`, alice.Address())
		if err != nil {
			t.Fatal(err)
		}
		c := caller(t, a, alice.Address(), 0)
		s, err := a.Standing(t.Context(), c)
		if err != nil || s.Tier != Prepaid || s.Balance != 10 || s.Limit != 1428 {
			t.Fatalf("standing %+v, %v", s, err)
		}
		total := int64(0)
		for _, tokens := range []int64{1, 99, 143, 357, 400, 1, 250} {
			h, _, err := a.Reserve(t.Context(), c, "toy", 0, tokens)
			if err != nil {
				break
			}
			if err := h.Settle(t.Context(), 0, tokens); err != nil {
				t.Fatal(err)
			}
			total += tokens
			var spent, dust, held int64
			if err := db.Row(t.Context(), `SELECT spent, dust, held FROM balances`).Scan(&spent, &dust, &held); err != nil {
				t.Fatal(err)
			}
			if spent*1000+dust != total*7 || held != 0 || spent > 10 {
				t.Errorf("after %d tokens: %d nplx and %d thousandths spent, %d held", total, spent, dust, held)
			}
		}
		var short *Exhausted
		for most, pays := range map[coin.Amount]bool{0: false, 6: false, 7: true, 8: true} {
			picky := c
			picky.MaxPrice = &most
			var dear *TooDear
			h, _, err := a.Reserve(t.Context(), picky, "toy", 0, 10)
			switch {
			case pays && err == nil:
				err = h.Settle(t.Context(), 0, 0)
			case !pays && errors.As(err, &dear) && dear.Price == 7 && dear.Most == most && dear.Wanted == 10:
				err = nil
			}
			if err != nil {
				t.Errorf("a request that pays %d of 7: %v", most, err)
			}
		}
		if _, _, err := a.Reserve(t.Context(), c, "toy", 0, 2000); !errors.As(err, &short) || short.Standing.Tier != Prepaid {
			t.Errorf("more than was paid for: %v", err)
		}
	})
}

func TestDepositsAreCreditedOnce(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		v := newVillage()
		a := open(t, db, Options{Chain: v, Price: 1000, Deposits: bob.Address()})
		other := open(t, db, Options{Chain: v, Price: 1000, Deposits: bob.Address()})
		pay := func(memo string, amount int64) []byte {
			return payment(t, alice.Address(), bob.Address(), memo, amount)
		}
		block := func(txs ...ledger.Tx) {
			v.blocks = append(v.blocks, &ledger.Block{Head: ledger.Head{Height: yuma.Height(len(v.blocks) + 1)}, Txs: txs})
		}
		block()
		for _, x := range []*Access{a, other} {
			if err := x.catchUp(t.Context(), v); err != nil {
				t.Fatal(err)
			}
		}
		carol := wallet.Derive("access", "carol").Address()
		block(ledger.Tx{Raw: pay("", 500)}, ledger.Tx{Raw: pay(carol, 30)}, ledger.Tx{Raw: pay("thanks", 7)},
			ledger.Tx{Raw: pay("", 100), Code: 5}, ledger.Tx{Raw: []byte("nonsense")})
		block(ledger.Tx{Raw: payment(t, alice.Address(), carol, "", 1000)})
		var wg sync.WaitGroup
		for _, x := range []*Access{a, other, a, other} {
			wg.Go(func() {
				if err := x.catchUp(t.Context(), v); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		for account, want := range map[string]coin.Amount{alice.Address(): 507, carol: 30, bob.Address(): 0} {
			if got, _, err := a.balance(t.Context(), account); err != nil || got != want {
				t.Errorf("%s has %d, want %d; %v", account, got, want, err)
			}
		}
	})
}

func TestDeadGatewayIsSettledByWhatItNoted(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		v := newVillage()
		v.stakes[alice.Address()] = coin.PLX
		o := Options{Chain: v, Floor: 1000}
		dead, a := open(t, db, o), open(t, db, o)
		c := caller(t, a, alice.Address(), 0)
		all := remaining(t, a, c)
		h, _, err := dead.Reserve(t.Context(), c, "toy", 100, 500)
		if err != nil {
			t.Fatal(err)
		}
		if err := h.Spend(t.Context(), 100, 1); err != nil {
			t.Fatal(err)
		}
		for range stillMost {
			if err := a.bury(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := remaining(t, a, c); got != all-600 {
				t.Fatalf("%d left before the gateway is dead, want %d", got, all-600)
			}
		}
		if err := a.bury(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := remaining(t, a, c); got != all-100-ahead {
			t.Errorf("%d left, want %d less the %d that were noted", got, all, 100+ahead)
		}
		if err := h.Spend(t.Context(), 100, 2); err != nil {
			t.Errorf("what was noted already: %v", err)
		}
		if err := h.Spend(t.Context(), 100, ahead+1); !errors.Is(err, ErrLapsed) {
			t.Errorf("it was only slow, and goes on: %v", err)
		}
		if err := h.Settle(t.Context(), 100, ahead); !errors.Is(err, ErrLapsed) {
			t.Errorf("it settles what is settled: %v", err)
		}
		if use, err := a.Usage(t.Context(), c); err != nil || len(use) != 1 || use[0].Prompt+use[0].Completion != 100+ahead {
			t.Errorf("usage %+v, %v", use, err)
		}
	})
}

func TestNewRefuses(t *testing.T) {
	db := storetest.Open(t, t.TempDir()+"/g.db")
	for name, o := range map[string]Options{
		"no chain":      {},
		"a price":       {Chain: newVillage(), Price: 2 * coin.PLX},
		"a share":       {Chain: newVillage(), Shared: 101},
		"a broken name": {Chain: newVillage(), Name: "a\nb"},
	} {
		if _, err := New(t.Context(), db, o); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

// BenchmarkRequest is what one request costs in the database: set aside, noted
// twice, settled.
func BenchmarkRequest(b *testing.B) {
	v := newVillage()
	v.stakes[alice.Address()] = coin.PLX
	a := open(b, storetest.Open(b, b.TempDir()+"/g.db"), Options{Chain: v, Floor: 1 << 40})
	c := caller(b, a, alice.Address(), 0)
	var reserve time.Duration
	for b.Loop() {
		began := time.Now()
		h, _, err := a.Reserve(b.Context(), c, "toy", 20, 60)
		reserve += time.Since(began)
		if err != nil {
			b.Fatal(err)
		}
		for _, n := range []int64{1, 40} {
			if err := h.Spend(b.Context(), 20, n); err != nil {
				b.Fatal(err)
			}
		}
		if err := h.Settle(b.Context(), 20, 40); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(reserve.Microseconds())/float64(b.N), "µs-to-reserve/op")
}

package tenant

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/plexus-network/plexus/coin"
	"github.com/plexus-network/plexus/ledger"
	"github.com/plexus-network/plexus/market"
	"github.com/plexus-network/plexus/provider/alert"
)

// safe is a chain of one deployment, 7, that costs 1 PLX an hour.
type safe struct {
	began  time.Time
	paid   coin.Amount
	closed string
	away   bool
	lose   error // of the next payment, which is made all the same
	refuse error // of the next payment
	denom  string
	made   []coin.Amount
}

func (s *safe) left() time.Duration {
	return time.Duration(float64(s.paid)/float64(coin.PLX)*float64(time.Hour)) - time.Since(s.began)
}

func (s *safe) Purses(_ context.Context, dseqs ...uint64) ([]Purse, error) {
	if s.away {
		return nil, ledger.ErrUnreachable
	}
	if s.left() <= 0 {
		s.closed = "insufficient funds"
	}
	if s.closed != "" && len(dseqs) == 0 {
		return nil, nil
	}
	p := Purse{DSeq: 7, Open: s.closed == "", Reason: s.closed, PaidIn: ledger.Money{Denom: s.denom, Amount: market.Amount(s.paid)}}
	p.Runway = Runway{Blocks: -1, Seconds: -1}
	if p.Open {
		p.Runway = Runway{Blocks: int64(s.left() / time.Second), Seconds: int64(s.left() / time.Second), Left: "some"}
	}
	return []Purse{p}, nil
}

func (s *safe) TopUp(_ context.Context, _ uint64, sum ledger.Money) error {
	refuse, lose := s.refuse, s.lose
	s.refuse, s.lose = nil, nil
	if refuse != nil {
		return refuse
	}
	s.paid += coin.Amount(sum.Amount)
	s.made = append(s.made, coin.Amount(sum.Amount))
	return lose
}

// watch runs a Watch of a safe in virtual time and returns what it tells, as
// minute and kind.
func watch(t *testing.T, s *safe, o WatchOptions, while func()) (said []string) {
	t.Helper()
	s.began = time.Now()
	if s.denom == "" {
		s.denom = coin.Denom
	}
	o.Tell = func(n Notice) {
		kind := string(n.Kind)
		if n.Resolved {
			kind = "no " + kind
		}
		said = append(said, fmt.Sprintf("%d %s: %s", int(time.Since(s.began).Minutes()), kind, n.Text))
	}
	w, err := newWatch(s, o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- w.Run(ctx) }()
	while()
	synctest.Wait()
	cancel()
	if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	return said
}

// kinds cuts the words off what was told.
func kinds(said []string) []string {
	var all []string
	for _, s := range said {
		head, _, _ := strings.Cut(s, ":")
		all = append(all, head)
	}
	return all
}

func want(t *testing.T, said []string, want ...string) {
	t.Helper()
	if got := kinds(said); !slices.Equal(got, want) {
		t.Errorf("told %q, want %q", said, want)
	}
}

func TestWatchTellsOnceOfMoneyThatIsShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &safe{paid: 2 * coin.PLX}
		said := watch(t, s, WatchOptions{Less: time.Hour}, func() {
			time.Sleep(89*time.Minute + 30*time.Second)
			s.paid += coin.PLX // by hand
			time.Sleep(3*time.Hour + 30*time.Second)
		})
		want(t, said, "61 runway-low", "90 no runway-low", "121 runway-low", "180 deployment-closed")
		if !strings.Contains(said[0], "plexus deploy topup 7") || !strings.Contains(said[3], "insufficient funds") || len(s.made) > 0 {
			t.Errorf("told %q, paid %v", said, s.made)
		}
	})
}

func TestWatchTopsUpToItsLimitAndNoFurther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &safe{paid: 2 * coin.PLX}
		said := watch(t, s, WatchOptions{Less: time.Hour, TopUp: coin.PLX, AtMost: 4*coin.PLX + coin.PLX/2, Deployments: []uint64{7}}, func() { time.Sleep(10 * time.Hour) })
		want(t, said, "61 topped-up", "121 topped-up", "181 topped-up", "211 runway-low", "270 deployment-closed")
		if !slices.Equal(s.made, []coin.Amount{coin.PLX, coin.PLX, coin.PLX / 2}) || !strings.Contains(said[3], "4.5plx is the limit") {
			t.Errorf("paid %v, told %q", s.made, said)
		}
	})
}

func TestWatchPaysSeveralTimesWhereOneIsTooLittle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &safe{paid: coin.PLX / 10}
		said := watch(t, s, WatchOptions{Less: time.Hour, TopUp: coin.PLX / 2, AtMost: 100 * coin.PLX}, func() { time.Sleep(5 * time.Second) })
		want(t, said, "0 topped-up", "0 topped-up")
	})
}

func TestWatchNeverPaysTwiceForOnePaymentThatIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &safe{paid: coin.PLX, lose: ledger.ErrNotIncluded}
		said := watch(t, s, WatchOptions{Less: 90 * time.Minute, TopUp: coin.PLX, AtMost: 2 * coin.PLX}, func() { time.Sleep(20 * time.Minute) })
		want(t, said, "3 topped-up")
		if len(s.made) != 1 {
			t.Errorf("paid %v", s.made)
		}
	})
}

func TestWatchSaysWhyItCannotTopUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, c := range map[string]struct {
			safe safe
			want string
		}{
			"refused":       {safe{refuse: &ledger.TxError{Log: "spendable balance is smaller"}}, "spendable balance"},
			"another_denom": {safe{denom: "uact"}, "paid in uact"},
		} {
			s := c.safe
			s.paid = coin.PLX
			said := watch(t, &s, WatchOptions{Less: 2 * time.Hour, TopUp: coin.PLX, AtMost: 9 * coin.PLX}, func() { time.Sleep(5 * time.Second) })
			if want(t, said, "0 runway-low"); !strings.Contains(strings.Join(said, ""), c.want) {
				t.Errorf("%s: told %q", name, said)
			}
		}
	})
}

func TestWatchTellsThatItIsBlind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &safe{paid: 100 * coin.PLX}
		said := watch(t, s, WatchOptions{Less: time.Hour}, func() {
			time.Sleep(90 * time.Second)
			s.away = true
			time.Sleep(20 * time.Minute)
			s.away = false
			time.Sleep(2 * time.Minute)
		})
		want(t, said, "7 chain-unreachable", "22 no chain-unreachable")
	})
}

func TestWatchWantsALimit(t *testing.T) {
	for name, o := range map[string]WatchOptions{
		"no_time":  {},
		"no_limit": {Less: time.Hour, TopUp: 1},
		"no_topup": {Less: time.Hour, AtMost: 1},
		"hurry":    {Less: time.Hour, Every: time.Millisecond},
	} {
		if _, err := newWatch(&safe{}, o); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	a := Notice{DSeq: 7, Kind: alert.RunwayLow, Text: "x"}.Alert("plx1me")
	if a.Subject != "7" || a.Tenant != "plx1me" || a.Kind != alert.RunwayLow || a.Provider != "" {
		t.Errorf("alert %+v", a)
	}
}

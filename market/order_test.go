package market

import (
	"errors"
	"strings"
	"testing"
)

func webOrder() Order {
	return Order{
		ID:    OrderID{GroupID{DeploymentID{"tenant", 1}, 1}, 1},
		State: OrderOpen, Spec: webGroup(), Reclaim: 7200,
	}
}

func webBid() Bid {
	return Bid{
		ID: BidID{webOrder().ID, "provider"}, State: BidOpen, Price: price(150), Reclaim: 7200, Deposit: 500_000,
		Offer: []Offer{{webUnit().Resources, 2}},
	}
}

func TestConsider(t *testing.T) {
	for _, c := range []struct {
		name string
		edit func(*Order, *Bid)
		want string // "" means that the bid is taken in
	}{
		{"fits", func(*Order, *Bid) {}, ""},
		{"at the order's price", func(_ *Order, b *Bid) { b.Price = price(200) }, ""},
		{"the twentieth bid", func(o *Order, _ *Bid) { o.Bids = 19 }, ""},
		{"the twenty-first bid", func(o *Order, _ *Bid) { o.Bids = 20 }, "20 bids already"},
		{"overpriced", func(_ *Order, b *Bid) { b.Price.Amount, _ = Whole(200).Add(Exact{lo: 1}) }, "above the order's"},
		{"free", func(_ *Order, b *Bid) { b.Price.Amount = Exact{} }, "price is 0"},
		{"other denom", func(_ *Order, b *Bid) { b.Price.Denom = "uact" }, "in uact"},
		{"small deposit", func(_ *Order, b *Bid) { b.Deposit-- }, "deposit of 499999"},
		{"closed order", func(o *Order, _ *Bid) { o.State = OrderClosed }, "order is closed"},
		{"leased order", func(o *Order, _ *Bid) { o.State = OrderActive }, "order is active"},
		{"other order", func(_ *Order, b *Bid) { b.ID.OSeq = 2 }, "names order"},
		{"own order", func(_ *Order, b *Bid) { b.ID.Provider = "tenant" }, "own order"},
		{"short notice", func(_ *Order, b *Bid) { b.Reclaim = 7199 }, "shorter than the 7200 s"},
		{"no notice", func(_ *Order, b *Bid) { b.Reclaim = 0 }, "shorter"},
		{"no notice asked for or promised", func(o *Order, b *Bid) { o.Reclaim, b.Reclaim = 0, 0 }, ""},
		{"notice below the rules", func(o *Order, b *Bid) { o.Reclaim, b.Reclaim = 0, 3599 }, "outside of 3600"},
		{"notice above the rules", func(_ *Order, b *Bid) { b.Reclaim = 720*3600 + 1 }, "outside of"},
		{"no offer", func(_ *Order, b *Bid) { b.Offer = nil }, "0 resource units"},
		{"fewer replicas", func(_ *Order, b *Bid) { b.Offer[0].Count = 1 }, "1 replicas"},
		{"less memory", func(_ *Order, b *Bid) { b.Offer[0].Resources.Memory.Size-- }, "not what is asked for"},
		{"more cpu", func(_ *Order, b *Bid) { b.Offer[0].Resources.CPU.Units++ }, "not what is asked for"},
		{"other unit", func(_ *Order, b *Bid) { b.Offer[0].Resources.ID = 2 }, "not what is asked for"},
		{"names its gpu", func(_ *Order, b *Bid) {
			b.Offer[0].Resources.GPU.Attributes = Attributes{{"vendor/nvidia/model/h100", "true"}}
		}, ""},
		{"names a gpu that it does not claim", func(_ *Order, b *Bid) {
			b.Offer[0].Resources.GPU.Attributes = Attributes{{"vendor/nvidia/model/h100-pcie", "true"}}
		}, "does not claim attribute capabilities/gpu/vendor/nvidia/model/h100-pcie=true"},
		{"names another gpu", func(_ *Order, b *Bid) {
			b.Offer[0].Resources.GPU.Attributes = Attributes{{"vendor/nvidia/model/t4", "true"}}
		}, "it offers for unit 1 a GPU of nvidia/t4, which is none of those asked for"},
		{"names no gpu", func(_ *Order, b *Bid) { b.Offer[0].Resources.GPU.Attributes = nil }, "GPUs of 0 kinds"},
		{"more gpus", func(_ *Order, b *Bid) { b.Offer[0].Resources.GPU.Units++ }, "2 GPUs, and 1 are asked for"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o, b := webOrder(), webBid()
			c.edit(&o, &b)
			err := o.Consider(b, DefaultRules(), able(), nil)
			if c.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if !errors.Is(err, ErrBid) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Consider = %v, want %q", err, c.want)
			}
		})
	}
	var mismatch *Mismatch
	err := webOrder().Consider(webBid(), DefaultRules(), without(able(), "region"), nil)
	if !errors.Is(err, ErrBid) || !errors.As(err, &mismatch) || mismatch.Want.Key != "region" {
		t.Errorf("a provider without a region: %v", err)
	}
}

// taken returns the lease of webBid, opened at height 10.
func taken(t *testing.T) Lease {
	t.Helper()
	o, b := webOrder(), webBid()
	l, err := o.Take(&b, 10)
	if err != nil {
		t.Fatal(err)
	}
	if o.State != OrderActive || b.State != BidActive || l.State != LeaseActive || l.Opened != 10 || l.Price != b.Price {
		t.Fatalf("order %v, bid %v, lease %+v", o.State, b.State, l)
	}
	return l
}

func TestTake(t *testing.T) {
	taken(t)
	for _, c := range []struct {
		name string
		edit func(*Order, *Bid)
		want error
	}{
		{"order twice", func(o *Order, _ *Bid) { o.State = OrderActive }, ErrMove},
		{"closed order", func(o *Order, _ *Bid) { o.State = OrderClosed }, ErrMove},
		{"lost bid", func(_ *Order, b *Bid) { b.State = BidLost }, ErrMove},
		{"closed bid", func(_ *Order, b *Bid) { b.State = BidClosed }, ErrMove},
		{"bid for another order", func(_ *Order, b *Bid) { b.ID.OSeq++ }, ErrBid},
	} {
		t.Run(c.name, func(t *testing.T) {
			o, b := webOrder(), webBid()
			c.edit(&o, &b)
			order, bid := o.State, b.State
			if _, err := o.Take(&b, 1); !errors.Is(err, c.want) {
				t.Errorf("Take = %v, want %v", err, c.want)
			}
			if o.State != order || b.State != bid {
				t.Errorf("a refusal moved order to %v and bid to %v", o.State, b.State)
			}
		})
	}
}

func TestClose(t *testing.T) {
	const now = Seconds(1_000_000)
	for _, c := range []struct {
		name    string
		reclaim Seconds
		notice  bool
		after   Seconds // between notice, or now, and closing
		reason  Reason
		want    error
		state   LeaseState
		group   GroupState
	}{
		{"tenant closes", 7200, false, 0, ByOwner, nil, LeaseClosed, GroupOpen},
		{"tenant closes under notice", 7200, true, 1, ByOwner, nil, LeaseClosed, GroupOpen},
		{"provider closes, none promised", 0, false, 0, Unstable, nil, LeaseClosed, GroupPaused},
		{"no manifest came, none promised", 0, false, 0, ManifestTimeout, nil, LeaseClosed, GroupPaused},
		{"provider closes without notice", 7200, false, 0, Decommission, ErrReclaim, LeaseActive, 0},
		{"no manifest came, without notice", 7200, false, 0, ManifestTimeout, ErrReclaim, LeaseActive, 0},
		{"provider closes a second early", 7200, true, 7199, Decommission, ErrReclaim, LeaseReclaiming, 0},
		{"provider closes in time", 7200, true, 7200, Decommission, nil, LeaseClosed, GroupPaused},
		{"the chain closes at the deadline", 7200, true, 7200, ReclaimDeadline, nil, LeaseClosed, GroupOpen},
		{"the chain closes before it", 7200, true, 7199, ReclaimDeadline, ErrReclaim, LeaseReclaiming, 0},
		{"the chain closes without notice", 7200, false, 0, ReclaimDeadline, ErrReclaim, LeaseActive, 0},
		{"no money", 7200, false, 0, InsufficientFunds, nil, LeaseInsufficientFunds, GroupInsufficientFunds},
		{"no money under notice", 7200, true, 1, InsufficientFunds, nil, LeaseInsufficientFunds, GroupInsufficientFunds},
		{"nothing delivered", 7200, false, 0, NonDelivery, nil, LeaseClosed, GroupOpen},
		{"provider left", 7200, false, 0, ProviderLeft, nil, LeaseClosed, GroupOpen},
		{"no reason", 0, false, 0, 0, ErrMove, LeaseActive, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := taken(t)
			l.Reclaim = c.reclaim
			if c.notice {
				if err := l.GiveNotice(now); err != nil {
					t.Fatal(err)
				}
			}
			err := l.CloseBy(c.reason, 20, now+c.after)
			if !errors.Is(err, c.want) || l.State != c.state {
				t.Fatalf("CloseBy = %v, lease %v; want %v, %v", err, l.State, c.want, c.state)
			}
			if c.want != nil {
				if !l.State.Runs() || l.Reason != 0 || l.Closed != 0 {
					t.Errorf("a refusal left %+v", l)
				}
				return
			}
			if l.State.Runs() || l.Reason != c.reason || l.Closed != 20 || l.Reason.GroupAfter() != c.group {
				t.Errorf("closed as %+v, group %v, want group %v", l, l.Reason.GroupAfter(), c.group)
			}
			if err := l.CloseBy(ByOwner, 21, now); !errors.Is(err, ErrMove) {
				t.Errorf("closed twice: %v", err)
			}
			if err := l.GiveNotice(now); !errors.Is(err, ErrMove) && !errors.Is(err, ErrReclaim) {
				t.Errorf("notice after the end: %v", err)
			}
		})
	}
}

func TestGiveNotice(t *testing.T) {
	l := taken(t)
	if err := l.GiveNotice(500); err != nil || l.Deadline != 500+7200 || !l.State.Runs() {
		t.Fatalf("GiveNotice = %v, lease %+v", err, l)
	}
	if err := l.GiveNotice(600); !errors.Is(err, ErrMove) || l.Deadline != 7700 {
		t.Errorf("a second notice: %v, deadline %d", err, l.Deadline)
	}
	l = taken(t)
	l.Reclaim = 0
	if err := l.GiveNotice(500); !errors.Is(err, ErrReclaim) || l.State != LeaseActive {
		t.Errorf("notice that was never agreed on: %v", err)
	}
}

func TestReasons(t *testing.T) {
	names := map[string]bool{}
	for _, r := range []Reason{0, ByOwner, Unstable, Decommission, Unspecified, ManifestTimeout, InsufficientFunds, NonDelivery, ReclaimDeadline, ProviderLeft, Expired, Outbid} {
		if names[r.String()] || strings.HasPrefix(r.String(), "reason") {
			t.Errorf("reason %d is named %q", r, r)
		}
		names[r.String()] = true
		if want := r >= 10_000 && r < 20_000; r.ByProvider() != want {
			t.Errorf("%v may be given by a provider = %v", r, r.ByProvider())
		}
	}
	if got := Reason(3).String(); got != "reason 3" {
		t.Errorf("an unknown reason is named %q", got)
	}
}

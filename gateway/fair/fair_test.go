package fair

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// crowd is who waits for a queue with one place that a test holds.
type crowd struct {
	t     testing.TB
	q     *Queue
	place *Place
	order chan string // who got the place, in order
}

func newCrowd(t testing.TB, o Options) *crowd {
	o.Places = 1
	c := &crowd{t: t, q: New(o), order: make(chan string, 4096)}
	var err error
	if c.place, err = c.q.Enter(t.Context(), "warden", 1, 1); err != nil {
		t.Fatal(err)
	}
	return c
}

// come puts one into the line, and waits until it stands there. It holds the
// place for a moment.
func (c *crowd) come(ctx context.Context, account string, weight int, cost int64) {
	go func() {
		p, err := c.q.Enter(ctx, account, weight, cost)
		if err != nil {
			return
		}
		c.order <- account
		time.Sleep(time.Millisecond)
		p.Leave(cost)
	}()
	synctest.Wait()
}

// serve lets all in who wait and returns the order.
func (c *crowd) serve() (order []string) {
	c.place.Leave(1)
	time.Sleep(time.Minute)
	close(c.order)
	for a := range c.order {
		order = append(order, a)
	}
	if held, waiting := c.q.Load(); held != 0 || waiting != 0 || len(c.q.flows) != 0 || len(c.q.heads) != 0 {
		c.t.Errorf("%d hold and %d wait in %d flows when all have left", held, waiting, len(c.q.flows))
	}
	return order
}

func TestShareFollowsWeight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, Options{Waiting: 400, Each: 100})
		for range 90 {
			c.come(t.Context(), "light", 1, 10)
			c.come(t.Context(), "heavy", 3, 10)
		}
		got := map[string]int{}
		for _, a := range c.serve()[:80] {
			got[a]++
		}
		if got["heavy"] < 59 || got["heavy"] > 61 {
			t.Errorf("of the first 80 places %d went to the account of three times the weight, want 60", got["heavy"])
		}
	})
}

func TestFloodDelaysNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, Options{Waiting: 100, Each: 90})
		for range 80 {
			c.come(t.Context(), "flood", 1, 100)
		}
		c.come(t.Context(), "one", 1, 100)
		order := c.serve()
		if order[1] != "one" && order[0] != "one" {
			t.Errorf("the single request came after %v", order[:5])
		}
	})
}

func TestNewcomersPassNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, Options{Waiting: 400})
		c.come(t.Context(), "big", 1, 1_000_000)
		for i := range 300 {
			c.come(t.Context(), fmt.Sprint("small ", i), 64, 1)
		}
		if order := c.serve(); order[0] != "big" {
			t.Errorf("%q passed the one that came first", order[0])
		}
	})
}

func TestFullLineSendsTheLatestAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, Options{Waiting: 10, Each: 10})
		sent := make(chan error, 10)
		for range 10 {
			go func() {
				p, err := c.q.Enter(t.Context(), "flood", 1, 100)
				if err != nil {
					sent <- err
					return
				}
				p.Leave(100)
			}()
			synctest.Wait()
		}
		var full *Full
		if _, err := c.q.Enter(t.Context(), "flood", 1, 100); !errors.As(err, &full) || !full.Own || full.Waiting != 10 || full.Wait < time.Second {
			t.Errorf("the eleventh of one account: got %v", err)
		}
		c.come(t.Context(), "other", 1, 100)
		if err := <-sent; !errors.As(err, &full) || full.Own {
			t.Errorf("the flood's last was sent away with %v", err)
		}
		if order := c.serve(); len(order) != 1 || order[0] != "other" {
			t.Errorf("served %v, want the other", order)
		}
	})
}

func TestWhoLeavesTheLineLeavesNoGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, Options{Waiting: 100, Each: 50})
		ctx, cancel := context.WithCancel(t.Context())
		for range 20 {
			c.come(ctx, "fickle", 1, 1000)
		}
		c.come(t.Context(), "fickle", 1, 10)
		for range 5 {
			c.come(t.Context(), "steady", 1, 10)
		}
		cancel()
		synctest.Wait()
		order := c.serve()
		if len(order) != 6 || order[0] != "fickle" {
			t.Errorf("served %v; the twenty that went away shall cost their account nothing", order)
		}
	})
}

func TestSparedCostIsGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := New(Options{Places: 1})
		first, _ := q.Enter(t.Context(), "a", 1, 1000)
		order := make(chan string, 4)
		for _, name := range []string{"a", "b"} {
			go func() {
				p, err := q.Enter(t.Context(), name, 1, 500)
				if err != nil {
					t.Error(err)
					return
				}
				order <- name
				p.Leave(500)
			}()
			synctest.Wait()
		}
		first.Leave(0) // it cost nothing after all, and a came before b
		if got := <-order; got != "a" {
			t.Errorf("%s was served first, want a", got)
		}
		<-order
	})
}

// TestNobodyStarves lets accounts come and go at random, with one that waits:
// it is served after at most as much virtual work as others could have been
// owed when it came, whoever comes later.
func TestNobodyStarves(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		type one struct {
			name   string
			weight int
			cost   int64
		}
		draw := rapid.Custom(func(rt *rapid.T) one {
			n := rapid.IntRange(0, 9).Draw(rt, "account")
			return one{fmt.Sprint("account ", n), 1 + n%4*5, rapid.Int64Range(1, 2000).Draw(rt, "cost")}
		})
		before := rapid.SliceOfN(draw, 0, 40).Draw(rt, "before")
		after := rapid.SliceOfN(draw, 0, 80).Draw(rt, "after")
		cost := rapid.Int64Range(1, 100_000).Draw(rt, "patient cost")
		quit := rapid.SliceOfN(rapid.Bool(), 40, 40).Draw(rt, "quit")
		synctest.Test(t, func(t *testing.T) {
			c := newCrowd(t, Options{Waiting: 1000, Each: 1000})
			ctx, cancel := context.WithCancel(t.Context())
			stay := 0
			for i, o := range before {
				if quit[i] {
					c.come(ctx, o.name, o.weight, o.cost)
					continue
				}
				stay++
				c.come(t.Context(), o.name, o.weight, o.cost)
			}
			c.come(t.Context(), "patient", 1, cost)
			for _, o := range after {
				c.come(t.Context(), o.name, o.weight, o.cost)
			}
			cancel()
			synctest.Wait()
			order := c.serve()
			if len(order) != stay+1+len(after) {
				t.Fatalf("%d were served, want %d", len(order), stay+1+len(after))
			}
			for i, name := range order {
				if name != "patient" {
					continue
				}
				if i > stay { // those that came later pass it at most where an account of earlier ones has its turn anyway
					t.Fatalf("%d were served before the one that %d stood before", i, stay)
				}
				return
			}
			t.Fatal("the patient one was never served")
		})
	})
}

package neuron

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/plexus-network/plexus/coin"
	"github.com/plexus-network/plexus/p2p"
)

// crowd enters a queue under names and notes who got in, in order.
type crowd struct {
	t     *testing.T
	q     *queue
	in    []string
	out   map[string]error
	leave map[string]func()
}

func newCrowd(t *testing.T, q *queue) *crowd {
	return &crowd{t: t, q: q, out: map[string]error{}, leave: map[string]func(){}}
}

func (c *crowd) come(ctx context.Context, name string, stake coin.Amount) {
	go func() {
		leave, err := c.q.enter(ctx, name, stake)
		if err != nil {
			c.out[name] = err
			return
		}
		c.in = append(c.in, name)
		c.leave[name] = leave
	}()
	synctest.Wait()
}

func (c *crowd) go_(name string) {
	c.leave[name]()
	synctest.Wait()
}

func TestQueueOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, newQueue(1, 10, 5, 5))
		c.come(t.Context(), "first", 0)
		c.come(t.Context(), "poor", 1)
		c.come(t.Context(), "rich", 100)
		c.come(t.Context(), "none", 0)
		c.come(t.Context(), "poor2", 1)
		for _, name := range []string{"first", "rich", "poor", "poor2", "none"} {
			c.go_(name)
		}
		if want := []string{"first", "rich", "poor", "poor2", "none"}; !slices.Equal(c.in, want) {
			t.Errorf("let in %v, want %v", c.in, want)
		}
		if c.q.free != 1 || len(c.q.callers) != 0 || len(c.q.waiting) != 0 {
			t.Errorf("afterwards %d slots are free, callers are %v", c.q.free, c.q.callers)
		}
	})
}

func TestQueueFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, newQueue(1, 2, 5, 5))
		c.come(t.Context(), "working", 5)
		c.come(t.Context(), "five", 5)
		c.come(t.Context(), "three", 3)
		c.come(t.Context(), "two", 2)
		c.come(t.Context(), "nine", 9)
		for name, says := range map[string]string{"two": "as much stake", "three": "more stake"} {
			r, ok := errors.AsType[*p2p.Refused](c.out[name])
			if !ok || r.Code != p2p.Busy || r.RetryAfter == 0 || !strings.Contains(r.Message, says) {
				t.Errorf("%s hears %v, want busy and %q", name, c.out[name], says)
			}
		}
		c.go_("working")
		c.go_("nine")
		c.go_("five")
		if want := []string{"working", "nine", "five"}; !slices.Equal(c.in, want) {
			t.Errorf("let in %v, want %v", c.in, want)
		}
	})
}

func TestQueueLimitsCallers(t *testing.T) {
	q := newQueue(10, 10, 3, 1)
	enter := func(name string, stake coin.Amount, n int) (in int, err error) {
		for range n {
			if _, err = q.enter(t.Context(), name, stake); err != nil {
				return in, err
			}
			in++
		}
		return in, nil
	}
	if in, err := enter("rich", 1, 5); in != 3 || !strings.Contains(err.Error(), "3 questions") {
		t.Errorf("a caller with stake gets %d in, then %v; want 3", in, err)
	}
	if in, err := enter("guest", 0, 5); in != 1 || err == nil {
		t.Errorf("a guest gets %d in, then %v; want 1", in, err)
	}
}

func TestQueueAbandoned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, newQueue(1, 5, 5, 5))
		ctx, cancel := context.WithCancel(t.Context())
		c.come(t.Context(), "working", 1)
		c.come(ctx, "leaving", 9)
		c.come(t.Context(), "waiting", 1)
		cancel()
		synctest.Wait()
		if !errors.Is(c.out["leaving"], context.Canceled) {
			t.Errorf("who left hears %v", c.out["leaving"])
		}
		c.go_("working")
		c.go_("waiting")
		if c.q.free != 1 || len(c.q.callers) != 0 {
			t.Errorf("afterwards %d slots are free, callers are %v", c.q.free, c.q.callers)
		}
	})
}

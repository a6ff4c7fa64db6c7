package access

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/bits"
	"time"

	"github.com/plexus-network/plexus/coin"
	"github.com/plexus-network/plexus/yuma"
)

// A Tier is what a caller's quota comes from.
type Tier string

// The tiers: stake with the gateway's validator, prepaid money, a word of the
// operator, or nothing.
const (
	Stake     Tier = "stake"
	Prepaid   Tier = "prepaid"
	Operator  Tier = "operator"
	Anonymous Tier = "anonymous"
)

// maxTokens bounds a quota and a request, so that sums stay within 63 bits.
const maxTokens = 1 << 50

// A Standing is what a caller may use.
type Standing struct {
	Tier      Tier
	Limit     int64         // tokens of this epoch; for prepaid, all that was paid for
	Remaining int64         // of them
	Epoch     uint64        // that the limit is for
	Next      yuma.Height   // block at which the next one begins; 0 for prepaid, which has none
	Left      time.Duration // until then
	Own, All  coin.Amount   // the caller's stake with the validator, and everyone's
	Balance   coin.Amount   // prepaid and not spent
	Spent     coin.Amount
}

// Weight is the caller's weight where there is a queue, 1 to 64.
func (s Standing) Weight() int {
	switch s.Tier {
	case Operator:
		return 16
	case Prepaid:
		return 8
	case Stake:
		return 8 + int(part(56, s.Own, s.All))
	default:
		return 1
	}
}

// part returns n · own / all, rounded down, and 0 for an all of 0.
func part(n uint64, own, all coin.Amount) uint64 {
	if own >= all {
		if all == 0 {
			return 0
		}
		return n
	}
	hi, lo := bits.Mul64(n, uint64(own))
	q, _ := bits.Div64(hi, lo, uint64(all))
	return q
}

// An Exhausted error means that a quota does not suffice for a request.
type Exhausted struct {
	Standing Standing
	Wanted   int64 // tokens that the request may use at most
	Key      int64 // limit of the key itself, if that is what does not suffice; else 0
	Left     int64 // tokens that are left of what does not suffice
}

// Error tells the numbers.
func (e *Exhausted) Error() string {
	if e.Key > 0 {
		return fmt.Sprintf("access: the key's limit of %d tokens has %d left, %d are wanted", e.Key, e.Left, e.Wanted)
	}
	return fmt.Sprintf("access: the quota of %d tokens has %d left, %d are wanted", e.Standing.Limit, e.Left, e.Wanted)
}

// A TooDear error means that a request needs prepaid tokens, and they cost more
// than its caller pays.
type TooDear struct {
	Standing Standing
	Price    coin.Amount // of 1,000 tokens
	Most     coin.Amount // that the caller pays
	Wanted   int64       // tokens that the request may use at most
	Free     int64       // of them, those that the quota gives
}

// Error tells the numbers.
func (e *TooDear) Error() string {
	return fmt.Sprintf("access: 1,000 prepaid tokens cost %d nplx, and the request pays at most %d; the quota gives %d of its %d tokens",
		uint64(e.Price), uint64(e.Most), e.Free, e.Wanted)
}

// share is an account's stake as it was read.
type share struct {
	own, all coin.Amount
	seen     time.Time
}

// The chain is looked at no more often than this.
const (
	epochFresh = time.Second
	stakeFresh = 5 * time.Second
)

// now returns the epoch. While the chain does not answer it is the last one
// known: quotas then do not start anew, but what is left may be used.
func (a *Access) now(ctx context.Context) (Epoch, error) {
	a.mu.Lock()
	known, age := !a.seen.IsZero(), time.Since(a.seen)
	if known {
		a.epoch.Left, a.seen = max(a.epoch.Left-age, 0), time.Now()
	}
	look := !known || time.Since(a.looked) >= epochFresh
	if look {
		a.looked = time.Now() // one looks, and the others go on with what is known
	}
	e := a.epoch
	a.mu.Unlock()
	if !look {
		return e, nil
	}
	fresh, err := a.opt.Chain.Epoch(ctx)
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case err == nil && fresh.Number >= a.epoch.Number:
		a.epoch, a.seen = fresh, time.Now()
	case a.seen.IsZero():
		return Epoch{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
	case err != nil:
		a.opt.Log.Debug("the chain's epoch is not known", "error", err)
	}
	return a.epoch, nil
}

// stake returns an account's stake, and the last one known while the chain does
// not answer.
func (a *Access) stake(ctx context.Context, account string) (share, error) {
	a.mu.Lock()
	s, known := a.shares[account]
	if known && time.Since(s.seen) < stakeFresh {
		a.mu.Unlock()
		return s, nil
	}
	if known {
		a.shares[account] = share{s.own, s.all, time.Now()} // one looks, and the others go on with what is known
	}
	a.mu.Unlock()
	own, all, err := a.opt.Chain.Stake(ctx, account)
	if err != nil {
		if known {
			return s, nil
		}
		return s, fmt.Errorf("%w: stake of %s: %w", ErrUnavailable, account, err)
	}
	s = share{own, all, time.Now()}
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.shares) >= 1<<14 {
		clear(a.shares)
	}
	a.shares[account] = s
	return s, nil
}

// volume returns how many tokens an epoch's capacity is, as the first gateway
// that asked measured it.
func (a *Access) volume(ctx context.Context, e Epoch) (int64, error) {
	a.mu.Lock()
	v, known := a.capacity[e.Number]
	a.mu.Unlock()
	if known {
		return v, nil
	}
	rate := a.opt.Floor
	if a.opt.Capacity != nil {
		rate = max(rate, a.opt.Capacity())
	}
	v = min(int64(float64(rate)*e.Length.Seconds()), maxTokens)
	_, err := a.db.Exec(ctx, `INSERT INTO epochs (number, capacity, began) VALUES ($1, $2, $3) ON CONFLICT (number) DO NOTHING`,
		int64(e.Number), v, time.Now().UnixMilli())
	if err == nil {
		err = a.db.Row(ctx, `SELECT capacity FROM epochs WHERE number = $1`, int64(e.Number)).Scan(&v)
	}
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.capacity) > 64 {
		clear(a.capacity)
	}
	a.capacity[e.Number] = v
	return v, nil
}

// A source is where a caller's tokens come from first.
type source struct {
	subject string // of table quotas
	allowed int64
	Standing
}

// source finds a caller's source. What is prepaid comes beside it.
func (a *Access) source(ctx context.Context, c Caller) (source, error) {
	e, err := a.now(ctx)
	if err != nil {
		return source{}, err
	}
	s := source{Standing: Standing{Epoch: e.Number, Next: e.Next, Left: e.Left}}
	if c.Key != "" && c.Account == "" {
		s.Tier, s.subject, s.allowed = Operator, "operator:"+c.Key, c.Limit
		return s, nil
	}
	if c.Account == "" {
		s.Tier, s.subject, s.allowed = Anonymous, c.Name(), a.opt.Anonymous
		return s, nil
	}
	held, err := a.stake(ctx, c.Account)
	if err != nil {
		return source{}, err
	}
	volume, err := a.volume(ctx, e)
	if err != nil {
		return source{}, err
	}
	s.Own, s.All = held.own, held.all
	if s.Balance, s.Spent, err = a.balance(ctx, c.Account); err != nil {
		return source{}, err
	}
	s.Tier, s.subject = Stake, "account:"+c.Account
	s.allowed = int64(part(uint64(volume)*uint64(a.opt.Shared)/100, held.own, held.all))
	switch {
	case s.allowed > 0:
	case s.Balance > 0 && a.opt.Price > 0:
		s.Tier = Prepaid
	default: // a wallet without anything is as good as none
		s.Tier, s.subject, s.allowed = Anonymous, "from:"+site(c.From), a.opt.Anonymous
	}
	return s, nil
}

// balance returns what an account prepaid and did not spend, and what it spent.
func (a *Access) balance(ctx context.Context, account string) (left, spent coin.Amount, err error) {
	err = a.db.Row(ctx, `SELECT deposited - spent - held, spent FROM balances WHERE account = $1`, account).Scan(&left, &spent)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return 0, 0, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return left, spent, nil
}

// Standing returns what a caller may use now.
func (a *Access) Standing(ctx context.Context, c Caller) (Standing, error) {
	s, err := a.source(ctx, c)
	if err != nil {
		return Standing{}, err
	}
	var used int64
	err = a.db.Row(ctx, `SELECT allowed, used + held FROM quotas WHERE epoch = $1 AND subject = $2`, int64(s.Epoch), s.subject).
		Scan(&s.allowed, &used)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return Standing{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return a.tell(s, used), nil
}

// tell fills in the numbers of a standing.
func (a *Access) tell(s source, used int64) Standing {
	out := s.Standing
	out.Limit, out.Remaining = s.allowed, max(s.allowed-used, 0)
	if s.Tier == Prepaid {
		out.Limit, out.Remaining = a.affords(s.Balance+s.Spent), a.affords(s.Balance)
		out.Next, out.Left = 0, 0
	}
	return out
}

// affords returns how many tokens money buys.
func (a *Access) affords(money coin.Amount) int64 {
	if a.opt.Price == 0 {
		return 0
	}
	hi, lo := bits.Mul64(uint64(money), 1000)
	if hi >= uint64(a.opt.Price) {
		return maxTokens
	}
	q, _ := bits.Div64(hi, lo, uint64(a.opt.Price))
	return int64(min(q, maxTokens))
}

// A Use is what was used in a day.
type Use struct {
	Day        string `json:"day"` // UTC
	Model      string `json:"model"`
	Prompt     int64  `json:"prompt_tokens"`
	Completion int64  `json:"completion_tokens"`
	Requests   int64  `json:"requests"`
}

// Usage returns what a caller used in the last 31 days, the newest first.
func (a *Access) Usage(ctx context.Context, c Caller) ([]Use, error) {
	all := []Use{}
	err := a.db.Each(ctx, `SELECT day, model, prompt, completion, requests FROM usage
		WHERE account = $1 AND day > $2 ORDER BY day DESC, model LIMIT 1000`,
		func(scan func(...any) error) error {
			var u Use
			var day int64
			err := scan(&day, &u.Model, &u.Prompt, &u.Completion, &u.Requests)
			u.Day = time.Unix(day*secondsOfDay, 0).UTC().Format(time.DateOnly)
			all = append(all, u)
			return err
		}, c.Name(), today()-31)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return all, nil
}

const secondsOfDay = 24 * 60 * 60

// today is the number of days since 1970.
func today() int64 { return time.Now().Unix() / secondsOfDay }

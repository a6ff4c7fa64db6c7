package access

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/plexus-network/plexus/gateway/store"
)

// ErrLapsed means that a hold is settled already: the gateway that made it was
// taken for dead, and paid what it had noted. Nothing more may go out.
var ErrLapsed = errors.New("access: the hold has lapsed")

// ahead is how many tokens of an answer are noted before they go out, so that
// not every piece of a stream costs a write. A gateway that is killed has noted
// at most one less than it did not send.
const ahead = 32

// A Hold is the tokens and the money that are set aside for one request.
// Settle it once. It belongs to one goroutine.
type Hold struct {
	a          *Access
	id         string
	prompt     int64 // tokens set aside
	completion int64
	noted      int64 // tokens of the answer that are noted; -1 before any
}

// Reserve sets tokens aside for a request that uses at most so many, and tells
// where the caller then stands. It returns an [*Exhausted] error where the
// quota does not suffice, a [*TooDear] one where the rest costs more than the
// caller pays, and [ErrUnavailable] where the quota is not known.
func (a *Access) Reserve(ctx context.Context, c Caller, model string, prompt, completion int64) (*Hold, Standing, error) {
	wanted := prompt + completion
	if prompt < 0 || completion < 0 || wanted > maxTokens {
		return nil, Standing{}, fmt.Errorf("access: a request of %d and %d tokens is out of range", prompt, completion)
	}
	s, err := a.source(ctx, c)
	if err != nil {
		return nil, Standing{}, err
	}
	h := &Hold{a: a, id: newID(), prompt: prompt, completion: completion, noted: -1}
	var now Standing
	err = a.db.Change(ctx, func(tx *sql.Tx) error {
		d := draft{access: a, tx: tx, caller: c, source: s, wanted: wanted}
		var err error
		now, err = d.set(ctx, h.id, model)
		return err
	})
	var short *Exhausted
	var dear *TooDear
	if err != nil && !errors.As(err, &short) && !errors.As(err, &dear) && ctx.Err() == nil {
		err = fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	if err != nil {
		return nil, now, err
	}
	return h, now, nil
}

// A draft is a hold that is being made.
type draft struct {
	access *Access
	tx     *sql.Tx
	caller Caller
	source source
	wanted int64
}

// set sets tokens aside: of the key's own budget, then of the source, then of
// what is prepaid.
func (d *draft) set(ctx context.Context, id, model string) (Standing, error) {
	a, s := d.access, &d.source
	budget := ""
	if d.caller.Limit > 0 && d.caller.Account != "" {
		budget = "key:" + d.caller.Key
		left, err := d.row(ctx, budget, d.caller.Limit)
		if err != nil {
			return Standing{}, err
		}
		if left < d.wanted {
			return a.tell(*s, 0), &Exhausted{Standing: a.tell(*s, 0), Wanted: d.wanted, Key: d.caller.Limit, Left: left}
		}
	}
	left, err := d.row(ctx, s.subject, s.allowed)
	if err != nil {
		return Standing{}, err
	}
	free := min(left, d.wanted)
	now := a.tell(*s, s.allowed-left+free)
	paid := d.wanted - free
	if most := d.caller.MaxPrice; most != nil && paid > 0 && a.opt.Price > *most && d.caller.Account != "" {
		return now, &TooDear{Standing: now, Price: a.opt.Price, Most: *most, Wanted: d.wanted, Free: free}
	}
	money, err := d.pay(ctx, paid)
	if err != nil {
		return now, err
	}
	if money < 0 {
		now = a.tell(*s, s.allowed-left)
		return now, &Exhausted{Standing: now, Wanted: d.wanted, Left: now.Remaining}
	}
	if s.Tier == Prepaid {
		now.Remaining = a.affords(s.Balance - min(s.Balance, amount(money)))
	}
	_, err = d.tx.ExecContext(ctx, `INSERT INTO holds
		(id, gateway, epoch, key_id, budget, subject, account, model, day, free, paid, price, money, prompt, completion)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, 0, 0)`,
		id, a.id, int64(s.Epoch), d.caller.Key, budget, s.subject, d.caller.Name(), model, today(), free, paid, int64(a.opt.Price), money)
	if err == nil && budget != "" {
		err = d.take(ctx, budget, d.wanted)
	}
	if err == nil {
		err = d.take(ctx, s.subject, free)
	}
	return now, err
}

// row returns how many tokens are left of a quota, and holds its row. What was
// allowed in an epoch does not grow before the next: stake that moves about
// shall not count twice.
func (d *draft) row(ctx context.Context, subject string, allowed int64) (left int64, err error) {
	err = d.tx.QueryRowContext(ctx, `INSERT INTO quotas (epoch, subject, allowed, used, held) VALUES ($1, $2, $3, 0, 0)
		ON CONFLICT (epoch, subject) DO UPDATE SET allowed =
			CASE WHEN excluded.allowed < quotas.allowed THEN excluded.allowed ELSE quotas.allowed END
		RETURNING allowed - used - held, allowed`, int64(d.source.Epoch), subject, allowed).Scan(&left, &allowed)
	if subject == d.source.subject {
		d.source.allowed = allowed
	}
	return max(left, 0), err
}

func (d *draft) take(ctx context.Context, subject string, tokens int64) error {
	_, err := d.tx.ExecContext(ctx, `UPDATE quotas SET held = held + $3 WHERE epoch = $1 AND subject = $2`,
		int64(d.source.Epoch), subject, tokens)
	return err
}

// pay sets money aside for tokens, and returns how much, or -1 if there is not
// enough. What is set aside is never less than what the tokens will cost: a
// beginning nplx counts as a whole one.
func (d *draft) pay(ctx context.Context, tokens int64) (int64, error) {
	price := int64(d.access.opt.Price)
	const most = 1 << 33 // tokens of one request, so that tokens times price stay within 63 bits
	switch {
	case tokens == 0:
		return 0, nil
	case price == 0 || d.caller.Account == "" || tokens >= most:
		return -1, nil
	}
	money := (tokens*price + 999) / 1000
	n, err := store.Exec(ctx, d.tx, `UPDATE balances SET held = held + $2
		WHERE account = $1 AND deposited - spent - held - CASE WHEN dust > 0 THEN 1 ELSE 0 END >= $2`, d.caller.Account, money)
	if n == 0 {
		money = -1
	}
	return money, err
}

// Spend notes that so many tokens of the prompt and the answer have been used
// so far. Call it before they go out: what is sent is then paid for, whatever
// happens. It returns [ErrLapsed] where nothing may go out any more.
func (h *Hold) Spend(ctx context.Context, prompt, completion int64) error {
	if completion <= h.noted {
		return nil
	}
	note := min(completion+ahead-1, max(h.completion, completion))
	n, err := h.a.db.Exec(ctx, `UPDATE holds SET prompt = $2, completion = $3 WHERE id = $1`, h.id, prompt, note)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	if n == 0 {
		return ErrLapsed
	}
	h.noted = note
	return nil
}

// Settle pays for the tokens that were used, and lets go of the rest. It does
// so even when ctx has ended. Where the database does not answer it is done
// later; where the hold has lapsed, it returns [ErrLapsed].
func (h *Hold) Settle(ctx context.Context, prompt, completion int64) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	b := bill{prompt, completion}
	err := h.a.settle(ctx, h.id, &b)
	if err == nil || errors.Is(err, ErrLapsed) {
		return err
	}
	h.a.opt.Log.Warn("a request is not paid for yet", "error", err)
	h.a.mu.Lock()
	defer h.a.mu.Unlock()
	h.a.late[h.id] = b
	return nil
}

// A bill is the tokens to pay for.
type bill struct{ prompt, completion int64 }

// settle ends a hold and pays its bill, or what was noted if that is nil. Who
// deletes the row pays, so it is paid once.
func (a *Access) settle(ctx context.Context, id string, b *bill) error {
	return a.db.Change(ctx, func(tx *sql.Tx) error {
		var (
			epoch, day, free, paid, price, money int64
			budget, subject, account, model      string
			noted                                bill
		)
		err := tx.QueryRowContext(ctx, `DELETE FROM holds WHERE id = $1
			RETURNING epoch, budget, subject, account, model, day, free, paid, price, money, prompt, completion`, id).
			Scan(&epoch, &budget, &subject, &account, &model, &day, &free, &paid, &price, &money, &noted.prompt, &noted.completion)
		if errors.Is(err, sql.ErrNoRows) {
			return ErrLapsed
		}
		if err != nil {
			return err
		}
		if b != nil {
			noted = *b
		}
		used := min(noted.prompt+noted.completion, free+paid)
		ofFree := min(used, free)
		const pay = `UPDATE quotas SET used = used + $3, held = held - $4 WHERE epoch = $1 AND subject = $2`
		if budget != "" {
			if _, err := tx.ExecContext(ctx, pay, epoch, budget, used, free+paid); err != nil {
				return err
			}
		}
		if _, err := tx.ExecContext(ctx, pay, epoch, subject, ofFree, free); err != nil {
			return err
		}
		if paid > 0 {
			_, err := tx.ExecContext(ctx, `UPDATE balances SET held = held - $2, spent = spent + (dust + $3) / 1000, dust = (dust + $3) % 1000
				WHERE account = $1`, account, money, (used-ofFree)*price)
			if err != nil {
				return err
			}
		}
		return use(ctx, tx, account, day, model, noted)
	})
}

// use counts what was used.
func use(ctx context.Context, tx *sql.Tx, account string, day int64, model string, b bill) error {
	if b.prompt+b.completion == 0 {
		return nil // it failed before it cost anything
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO usage (account, day, model, prompt, completion, requests) VALUES ($1, $2, $3, $4, $5, 1)
		ON CONFLICT (account, day, model) DO UPDATE SET prompt = usage.prompt + excluded.prompt,
			completion = usage.completion + excluded.completion, requests = usage.requests + 1`,
		account, day, model, b.prompt, b.completion)
	return err
}

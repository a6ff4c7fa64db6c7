package access

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"
)

// A pulse is what was seen of another gateway's beats. Clocks of different
// machines are not compared: a gateway is dead when its beat stands still while
// we look several times.
type pulse struct {
	beat  int64
	still int // looks since it moved
}

// stillMost is how many looks a beat may stand still for.
const stillMost = 6

// beat gives a sign of life.
func (a *Access) beat(ctx context.Context) error {
	_, err := a.db.Exec(ctx, `INSERT INTO gateways (id, beat) VALUES ($1, 1)
		ON CONFLICT (id) DO UPDATE SET beat = gateways.beat + 1`, a.id)
	if err != nil {
		return fmt.Errorf("sign of life: %w", err)
	}
	return nil
}

// Run gives signs of life, settles what dead gateways left behind, and drops
// what is old, until ctx ends. What fails is tried again.
func (a *Access) Run(ctx context.Context) error {
	tick := time.NewTicker(a.opt.Beat)
	defer tick.Stop()
	for n := 0; ; n++ {
		err := errors.Join(a.beat(ctx), a.settleLate(ctx), a.bury(ctx))
		if n%100 == 0 {
			err = errors.Join(err, a.prune(ctx))
		}
		if ctx.Err() == nil && err != nil {
			a.opt.Log.Warn("the gateway's database does not answer as it should", "error", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// settleLate settles what could not be when it was due.
func (a *Access) settleLate(ctx context.Context) error {
	a.mu.Lock()
	late := maps.Clone(a.late)
	a.mu.Unlock()
	for id, b := range late {
		if err := a.settle(ctx, id, &b); err != nil && !errors.Is(err, ErrLapsed) {
			return fmt.Errorf("settle: %w", err)
		}
		a.mu.Lock()
		delete(a.late, id)
		a.mu.Unlock()
	}
	return nil
}

// bury looks at the other gateways and settles the holds of those that died.
func (a *Access) bury(ctx context.Context) error {
	a.looking.Lock()
	defer a.looking.Unlock()
	found := map[string]int64{}
	err := a.db.Each(ctx, `SELECT id, beat FROM gateways`, func(scan func(...any) error) error {
		var id string
		var beat int64
		err := scan(&id, &beat)
		found[id] = beat
		return err
	})
	if err != nil {
		return fmt.Errorf("look for other gateways: %w", err)
	}
	maps.DeleteFunc(a.others, func(id string, _ pulse) bool { _, there := found[id]; return !there })
	for id, beat := range found {
		p, known := a.others[id]
		switch {
		case id == a.id:
		case !known || p.beat != beat:
			a.others[id] = pulse{beat: beat}
		case p.still+1 < stillMost:
			a.others[id] = pulse{beat, p.still + 1}
		default:
			if err := a.inherit(ctx, id); err != nil {
				return err
			}
		}
	}
	return nil
}

// inherit settles a dead gateway's holds by what it noted.
func (a *Access) inherit(ctx context.Context, gateway string) error {
	var holds []string
	err := a.db.Each(ctx, `SELECT id FROM holds WHERE gateway = $1`, func(scan func(...any) error) error {
		var id string
		err := scan(&id)
		holds = append(holds, id)
		return err
	}, gateway)
	for _, id := range holds {
		if e := a.settle(ctx, id, nil); e != nil && !errors.Is(e, ErrLapsed) {
			err = errors.Join(err, e)
		}
	}
	if err == nil {
		_, err = a.db.Exec(ctx, `DELETE FROM gateways WHERE id = $1`, gateway)
	}
	if err != nil {
		return fmt.Errorf("settle what gateway %s left behind: %w", gateway, err)
	}
	a.opt.Log.Info("a gateway died, and its requests are settled", "gateway", gateway, "requests", len(holds))
	return nil
}

// prune drops what is of no use any more. Usage by address is kept for a week,
// usage by account for a year.
func (a *Access) prune(ctx context.Context) error {
	e, err := a.now(ctx)
	if err != nil {
		return nil //nolint:nilerr // nothing is lost by waiting
	}
	now := time.Now()
	for _, s := range []struct {
		statement string
		arg       int64
	}{
		{`DELETE FROM nonces WHERE expires < $1`, now.UnixMilli()},
		{`DELETE FROM quotas WHERE epoch < $1 AND held = 0`, int64(e.Number) - 2},
		{`DELETE FROM epochs WHERE number < $1`, int64(e.Number) - 100},
		{`DELETE FROM usage WHERE account LIKE 'from:%' AND day < $1`, today() - 7},
		{`DELETE FROM usage WHERE day < $1`, today() - 366},
		{`DELETE FROM keys WHERE (expires <> 0 AND expires < $1) OR (revoked <> 0 AND revoked < $1)`, now.AddDate(0, 0, -30).UnixMilli()},
	} {
		if _, err := a.db.Exec(ctx, s.statement, s.arg); err != nil {
			return fmt.Errorf("drop what is old: %w", err)
		}
	}
	return nil
}

package gateway

import (
	"context"
	"errors"
	"slices"
	"time"
)

// finish waits for the slower answers within the round's patience and has all
// of them judged.
func (r *round) finish(ctx context.Context) error {
	r.spare = nil
	if err := r.collect(ctx, len(r.legs)); err != nil {
		return err
	}
	r.drop()
	if err := r.settle(ctx); err != nil {
		return err
	}
	r.judge(ctx)
	return ctx.Err()
}

// settle waits a little for the ends of answers that were given up after their
// text had gone out, for what they said is checked too.
func (r *round) settle(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	err := r.await(ctx, func() bool {
		return slices.ContainsFunc(r.legs, func(l *leg) bool { return l.used && l.total == 0 })
	})
	if errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	return err
}

// later ends the round after its answer went out, so that nobody waits for a
// miner that is slow to stop, and first has the rest judged when judge is true.
func (g *Gateway) later(ctx context.Context, r *round, judge bool) {
	select {
	case g.settle <- struct{}{}:
	default: // enough wait already; this one ends unjudged
		g.file(ctx, r)
		r.end()
		return
	}
	r.idle = nil
	g.late.Go(func() {
		defer func() { <-g.settle }()
		defer r.end()
		defer g.file(ctx, r)
		if !judge {
			return
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), g.limits.Answer)
		defer cancel()
		g.late.Go(func() {
			select {
			case <-g.done:
				cancel()
			case <-ctx.Done():
			}
		})
		_ = r.finish(ctx) // nobody is there to hear of it
	})
}

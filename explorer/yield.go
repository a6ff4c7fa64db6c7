package explorer

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// The window over which yields are measured.
const (
	defaultWindow = 7 * 24 * time.Hour
	minWindow     = time.Minute
	maxWindow     = 90 * 24 * time.Hour
	year          = 8766 * time.Hour
)

// windowOf reads a window of time, as "24h".
func windowOf(value string) (time.Duration, error) {
	if value == "" {
		return defaultWindow, nil
	}
	d, err := time.ParseDuration(value)
	if err != nil || d < minWindow || d > maxWindow {
		return 0, badRequest{fmt.Sprintf("window %q: give a time from 1m to 2160h, as 24h", value)}
	}
	return d, nil
}

// yields adds to validators what they and their delegators got in the latest
// window of time:
//
//	apr = Σ (reward − commission) / stake · year / span
//
// over all rewards of the span, each divided by the stake of its time. What is
// compounded is not counted. The span is the window, or all of the index if
// that is less.
func (x *Index) yields(ctx context.Context, items []object, window time.Duration) error {
	from, span, err := x.span(ctx, window)
	if err != nil {
		return err
	}
	for i := range items {
		operator, _ := items[i].raw("operator").(string)
		then, err := x.totals(ctx, operator, from)
		if err != nil {
			return err
		}
		now, err := x.totals(ctx, operator, 1<<62)
		if err != nil {
			return err
		}
		var apr float64
		if span > 0 {
			apr = float64(now.yield-then.yield) / yieldScale * float64(year) / float64(span)
		}
		items[i] = append(
			items[i],
			field{column{"reward", money}, now.reward - then.reward},
			field{column{"commission", money}, now.commission - then.commission},
			field{column{"apr", number}, apr},
			field{column{"span_seconds", number}, int64(span / time.Second)},
		)
	}
	return nil
}

// span returns the last height before the latest window of time, and how long
// it is from there to the newest block.
func (x *Index) span(ctx context.Context, window time.Duration) (from int64, span time.Duration, err error) {
	var oldest, newest sql.NullInt64
	if err := x.read.QueryRowContext(ctx, `SELECT MIN(time), MAX(time) FROM blocks`).Scan(&oldest, &newest); err != nil {
		return 0, 0, fmt.Errorf("read blocks: %w", err)
	}
	if !newest.Valid {
		return 0, 0, nil
	}
	start := newest.Int64 - window.Milliseconds()
	var at int64
	err = x.read.QueryRowContext(ctx, `SELECT height, time FROM blocks WHERE time <= $1 ORDER BY time DESC LIMIT 1`, start).Scan(&from, &at)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, time.Duration(newest.Int64-oldest.Int64) * time.Millisecond, nil
	}
	if err != nil {
		return 0, 0, fmt.Errorf("read blocks: %w", err)
	}
	return from, time.Duration(newest.Int64-at) * time.Millisecond, nil
}

// totals returns the sums of a validator's rewards up to a height.
func (x *Index) totals(ctx context.Context, operator string, upTo int64) (totals, error) {
	var t totals
	err := x.read.QueryRowContext(ctx, `SELECT total_reward, total_commission, total_yield FROM rewards
		WHERE operator = $1 AND height <= $2 ORDER BY height DESC LIMIT 1`, operator, upTo).Scan(&t.reward, &t.commission, &t.yield)
	if errors.Is(err, sql.ErrNoRows) {
		return t, nil
	}
	if err != nil {
		return t, fmt.Errorf("read rewards of %s: %w", operator, err)
	}
	return t, nil
}

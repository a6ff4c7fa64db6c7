package receipt

import (
	"context"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/plexus-network/plexus/gateway/store"
	"github.com/plexus-network/plexus/wallet"
)

// ErrNotFound means that there is no such receipt, or no longer.
var ErrNotFound = errors.New("receipt: not found")

// ErrLater means that roots cannot be published yet, as where a chain limits
// how often.
var ErrLater = errors.New("receipt: it is too soon to publish")

// maxLeaves bounds the tree of an epoch; receipts beyond it go into the next.
const maxLeaves = 1 << 16

// A Root is the root of an epoch's receipts.
type Root struct {
	Epoch    uint64 `json:"epoch"`
	Root     Hash   `json:"root"`
	Receipts int    `json:"receipts"`
}

// A Publisher makes roots known, so that they cannot be changed later.
type Publisher interface {
	// Publish makes roots known, oldest first, at most 32. After an error all
	// of them are published again, with [ErrLater] without a word in the log.
	Publish(ctx context.Context, roots []Root) error
}

// Options says how an Archive works. Key is needed.
type Options struct {
	Key       *wallet.Key                           // the validator's hotkey, which signs
	ChainID   string                                // of the chain that the receipts speak of
	Keep      time.Duration                         // how long receipts are kept; 0 means 30 days
	Epoch     func(context.Context) (uint64, error) // the subnet's epoch; nil means that nothing is sealed
	Poll      time.Duration                         // between looks for a new epoch; 0 means 2 s
	Publisher Publisher                             // nil means that roots stay here
	Log       *slog.Logger                          // nil means no log
}

// An Archive signs receipts and keeps them. Gateways that share a database and
// a hotkey share it.
type Archive struct {
	db  *store.DB
	opt Options
}

// NewArchive returns the archive in a database.
func NewArchive(db *store.DB, o Options) *Archive {
	if o.Keep == 0 {
		o.Keep = 30 * 24 * time.Hour
	}
	if o.Poll == 0 {
		o.Poll = 2 * time.Second
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Archive{db: db, opt: o}
}

// File signs a receipt and keeps it. It fills in the version, the chain and the
// hotkey.
func (a *Archive) File(ctx context.Context, r Receipt) error {
	r.Version, r.ChainID, r.Validator.Hotkey = Version, a.opt.ChainID, a.opt.Key.Address()
	e, err := Sign(r, a.opt.Key)
	if err != nil {
		return err
	}
	body, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("receipt %s: %w", r.ID, err)
	}
	_, err = a.db.Exec(ctx, `INSERT INTO receipts (id, filed, leaf, body) VALUES ($1, $2, $3, $4)`,
		r.ID, time.Now().UnixMilli(), e.Leaf().String(), string(body))
	if err != nil {
		return fmt.Errorf("keep receipt %s: %w", r.ID, err)
	}
	return nil
}

// Read returns a receipt with its proof, if its epoch is sealed, or
// [ErrNotFound].
func (a *Archive) Read(ctx context.Context, id string) (Record, error) {
	rec := Record{ID: id}
	var body string
	var epoch, place sql.NullInt64
	err := a.db.Row(ctx, `SELECT body, epoch, place FROM receipts WHERE id = $1`, id).Scan(&body, &epoch, &place)
	if errors.Is(err, sql.ErrNoRows) {
		return rec, fmt.Errorf("%w: %q", ErrNotFound, id)
	}
	if err == nil {
		err = json.Unmarshal([]byte(body), &rec.Envelope)
	}
	if err != nil {
		return rec, fmt.Errorf("receipt %s: %w", id, err)
	}
	rec.Receipt = rec.Envelope.Payload
	if !epoch.Valid {
		return rec, nil
	}
	leaves, err := a.leaves(ctx, epoch.Int64)
	if err != nil || place.Int64 >= int64(len(leaves)) {
		return rec, fmt.Errorf("receipt %s: tree of epoch %d: %w", id, epoch.Int64, errors.Join(err, ErrNotFound))
	}
	rec.Proof = &Proof{
		Epoch: uint64(epoch.Int64), Root: root(leaves), Index: uint64(place.Int64), Size: uint64(len(leaves)),
		Path: path(leaves, int(place.Int64)),
	}
	return rec, nil
}

// leaves reads the tree of an epoch.
func (a *Archive) leaves(ctx context.Context, epoch int64) (leaves []Hash, err error) {
	err = a.db.Each(ctx, `SELECT leaf FROM receipts WHERE epoch = $1 ORDER BY place`, func(scan func(...any) error) error {
		var s string
		if err := scan(&s); err != nil {
			return err
		}
		h, err := parseHash(s)
		leaves = append(leaves, h)
		return err
	}, epoch)
	return leaves, err
}

// parseHash reads a hash in hex.
func parseHash(s string) (h Hash, err error) { return h, h.UnmarshalText([]byte(s)) }

// Seal makes the tree of an epoch out of the receipts that are in none yet, and
// tells whether it did: not if there are none, or another gateway was first.
func (a *Archive) Seal(ctx context.Context, epoch uint64) (sealed bool, err error) {
	err = a.db.Change(ctx, func(tx *sql.Tx) error {
		// The row holds off other gateways until this one is done.
		n, err := store.Exec(ctx, tx, `INSERT INTO roots (epoch, root, receipts, sealed, published) VALUES ($1, '', 0, $2, 0)
			ON CONFLICT (epoch) DO NOTHING`, int64(epoch), time.Now().UnixMilli())
		if err != nil || n == 0 {
			return err
		}
		var ids []string
		var leaves []Hash
		err = store.Each(ctx, tx, `SELECT id, leaf FROM receipts WHERE epoch IS NULL ORDER BY filed, id LIMIT $1`,
			func(scan func(...any) error) error {
				var id, s string
				if err := scan(&id, &s); err != nil {
					return err
				}
				h, err := parseHash(s)
				ids, leaves = append(ids, id), append(leaves, h)
				return err
			}, maxLeaves)
		if err != nil {
			return err
		}
		if len(ids) == 0 {
			_, err := store.Exec(ctx, tx, `DELETE FROM roots WHERE epoch = $1`, int64(epoch))
			return err
		}
		for place, id := range ids {
			if _, err := store.Exec(ctx, tx, `UPDATE receipts SET epoch = $1, place = $2 WHERE id = $3`, int64(epoch), place, id); err != nil {
				return err
			}
		}
		top := root(leaves)
		_, err = store.Exec(ctx, tx, `UPDATE roots SET root = $2, receipts = $3 WHERE epoch = $1`,
			int64(epoch), hex.EncodeToString(top[:]), len(ids))
		sealed = err == nil
		return err
	})
	if err != nil {
		return false, fmt.Errorf("seal the receipts of epoch %d: %w", epoch, err)
	}
	return sealed, nil
}

// Roots returns the newest roots, newest first, at most 64.
func (a *Archive) Roots(ctx context.Context) ([]Root, error) {
	return a.roots(ctx, `SELECT epoch, root, receipts FROM roots ORDER BY epoch DESC LIMIT 64`)
}

func (a *Archive) roots(ctx context.Context, query string) (all []Root, err error) {
	err = a.db.Each(ctx, query, func(scan func(...any) error) error {
		var r Root
		var s string
		if err := scan(&r.Epoch, &s, &r.Receipts); err != nil {
			return err
		}
		var err error
		r.Root, err = parseHash(s)
		all = append(all, r)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("roots of receipts: %w", err)
	}
	return all, nil
}

// publish makes the roots known that are not yet.
func (a *Archive) publish(ctx context.Context) error {
	if a.opt.Publisher == nil {
		return nil
	}
	waiting, err := a.roots(ctx, `SELECT epoch, root, receipts FROM roots WHERE published = 0 ORDER BY epoch LIMIT 32`)
	if err != nil || len(waiting) == 0 {
		return err
	}
	if err := a.opt.Publisher.Publish(ctx, waiting); err != nil {
		return fmt.Errorf("publish the roots of epochs %d to %d: %w", waiting[0].Epoch, waiting[len(waiting)-1].Epoch, err)
	}
	for _, r := range waiting {
		if _, err := a.db.Exec(ctx, `UPDATE roots SET published = $2 WHERE epoch = $1`, int64(r.Epoch), time.Now().UnixMilli()); err != nil {
			return fmt.Errorf("note that the root of epoch %d is published: %w", r.Epoch, err)
		}
	}
	return nil
}

// Prune drops whole epochs of receipts once they are older than they are kept.
// Their roots stay.
func (a *Archive) Prune(ctx context.Context) error {
	_, err := a.db.Exec(ctx, `DELETE FROM receipts WHERE epoch IN (SELECT epoch FROM roots WHERE sealed < $1)`,
		time.Now().Add(-a.opt.Keep).UnixMilli())
	if err != nil {
		return fmt.Errorf("drop old receipts: %w", err)
	}
	return nil
}

// Run seals each epoch when it ends, publishes its root and drops old receipts,
// until ctx ends. What fails is tried again.
func (a *Archive) Run(ctx context.Context) error {
	if a.opt.Epoch == nil {
		<-ctx.Done()
		return ctx.Err()
	}
	tick := time.NewTicker(a.opt.Poll)
	defer tick.Stop()
	var last uint64 // epoch that was running at the last look; 0 before the first
	for {
		epoch, err := a.opt.Epoch(ctx)
		if err == nil && last != 0 && epoch > last {
			_, err = a.Seal(ctx, epoch-1)
			err = errors.Join(err, a.publish(ctx), a.Prune(ctx))
		}
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, ErrLater):
		case err != nil:
			a.opt.Log.Warn("receipts are not sealed or not published", "error", err)
		}
		last = max(last, epoch)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

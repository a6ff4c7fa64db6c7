package access

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/plexus-network/plexus/coin"
	"github.com/plexus-network/plexus/gateway/store"
)

// Prefix begins every API key.
const Prefix = "sk-plexus-"

// maxKeys bounds the good keys of one account.
const maxKeys = 32

// Sentinels of keys.
var (
	// ErrBadKey means that a key is not known, was revoked or has expired.
	ErrBadKey = errors.New("access: the key is not good")
	// ErrNeedsKey means that nobody is served here without a key.
	ErrNeedsKey = errors.New("access: a key is needed")
	// ErrBadName and ErrBadLimit mean that a key cannot be made like that.
	ErrBadName  = errors.New("access: the key's name is not good")
	ErrBadLimit = errors.New("access: the key's limit is not good")
	// ErrTooManyKeys means that an account has as many keys as it may.
	ErrTooManyKeys = fmt.Errorf("access: an account has at most %d keys", maxKeys)
)

// A Key is an API key, without the key itself.
type Key struct {
	ID      string    `json:"id"`
	Prefix  string    `json:"prefix"` // how the key begins
	Name    string    `json:"name"`
	Account string    `json:"account,omitempty"` // empty for the operator's
	Limit   int64     `json:"limit"`             // tokens per epoch; 0 for no limit of its own
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires,omitzero"` // zero for never
	Revoked time.Time `json:"revoked,omitzero"` // zero while it is good
}

// A Register is the API keys of a database, for those who manage them without
// serving anybody.
type Register struct{ db *store.DB }

// NewRegister returns the keys of a database.
func NewRegister(db *store.DB) Register { return Register{db} }

// A Caller is who makes a request.
type Caller struct {
	Key     string     // id of the key; empty if none was shown
	Account string     // bech32 address; empty for an operator's key and for no key
	Limit   int64      // of the key, in tokens per epoch; 0 for none
	From    netip.Addr // where the request comes from

	MaxPrice *coin.Amount // that it pays for 1,000 tokens beyond its quota; nil means whatever they cost
}

// Name says whose usage it is.
func (c Caller) Name() string {
	switch {
	case c.Account != "":
		return c.Account
	case c.Key != "":
		return "operator:" + c.Key
	default:
		return "from:" + site(c.From)
	}
}

// site is the address that quotas without a key are by: of IPv6 the network
// of 64 bits that one customer has.
func site(from netip.Addr) string {
	from = from.Unmap().WithZone("")
	if from.Is6() {
		if p, err := from.Prefix(64); err == nil {
			return p.String()
		}
	}
	return from.String()
}

// Identify returns who shows a key, which may be empty. It returns [ErrBadKey]
// or [ErrNeedsKey]. What does not begin as our keys do counts as no key: many
// clients insist on sending one.
func (a *Access) Identify(ctx context.Context, key string, from netip.Addr) (Caller, error) {
	c := Caller{From: from}
	if !strings.HasPrefix(key, Prefix) {
		if a.opt.Anonymous == 0 {
			return c, ErrNeedsKey
		}
		return c, nil
	}
	var expires, revoked int64
	err := a.db.Row(ctx, `SELECT id, account, allowed, expires, revoked FROM keys WHERE hash = $1`, hash(key)).
		Scan(&c.Key, &c.Account, &c.Limit, &expires, &revoked)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return c, fmt.Errorf("%w: it is not known here", ErrBadKey)
	case err != nil:
		return c, fmt.Errorf("%w: %w", ErrUnavailable, err)
	case revoked != 0:
		return c, fmt.Errorf("%w: it was revoked at %s", ErrBadKey, moment(revoked).Format(time.RFC3339))
	case expires != 0 && time.Now().UnixMilli() >= expires:
		return c, fmt.Errorf("%w: it expired at %s", ErrBadKey, moment(expires).Format(time.RFC3339))
	}
	return c, nil
}

// hash is what is kept of a key. A key has 256 random bits, so nothing slower
// is needed.
func hash(key string) string {
	h := sha256.Sum256([]byte(key))
	return hex.EncodeToString(h[:])
}

func moment(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// CreateKey makes a key for an account, or one of the operator's for an empty
// one, with a limit in tokens per epoch; 0 means none of its own for an
// account, and is refused for the operator's. The key itself is returned once
// and kept nowhere. A life of 0 is for ever.
func (r Register) CreateKey(ctx context.Context, account, name string, limit int64, life time.Duration) (string, Key, error) {
	const longest = 100
	switch {
	case !utf8.ValidString(name) || utf8.RuneCountInString(name) > longest || strings.ContainsFunc(name, func(c rune) bool { return c < ' ' }):
		return "", Key{}, fmt.Errorf("%w: a name is a text of at most %d characters in one line", ErrBadName, longest)
	case limit < 0 || limit > maxTokens:
		return "", Key{}, fmt.Errorf("%w: %d tokens; 0 to %d is allowed", ErrBadLimit, limit, int64(maxTokens))
	case account == "" && limit == 0:
		return "", Key{}, fmt.Errorf("%w: an operator's key needs a quota of at least 1 token per epoch", ErrBadLimit)
	}
	key := Prefix + letters(random(32))
	now := time.Now()
	k := Key{
		ID: "key_" + newID(), Prefix: key[:len(Prefix)+8], Name: name, Account: account, Limit: limit,
		Created: now.UTC().Truncate(time.Millisecond),
	}
	var expires int64
	if life > 0 {
		expires = now.Add(life).UnixMilli()
		k.Expires = moment(expires)
	}
	err := r.db.Change(ctx, func(tx *sql.Tx) error {
		var n int
		err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM keys WHERE account = $1 AND revoked = 0 AND (expires = 0 OR expires > $2)`,
			account, now.UnixMilli()).Scan(&n)
		if err != nil {
			return err
		}
		if account != "" && n >= maxKeys {
			return ErrTooManyKeys
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO keys (id, hash, prefix, name, account, allowed, created, expires, revoked)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0)`, k.ID, hash(key), k.Prefix, name, account, limit, now.UnixMilli(), expires)
		return err
	})
	if err != nil {
		return "", Key{}, fmt.Errorf("make a key: %w", err)
	}
	return key, k, nil
}

// Keys lists the keys of an account, or the operator's for an empty one, the
// newest first, at most 1,000. Revoked ones are among them for 30 days.
func (r Register) Keys(ctx context.Context, account string) ([]Key, error) {
	all := []Key{}
	err := r.db.Each(ctx, `SELECT id, prefix, name, account, allowed, created, expires, revoked FROM keys
		WHERE account = $1 AND (revoked = 0 OR revoked > $2) ORDER BY created DESC, id LIMIT 1000`,
		func(scan func(...any) error) error {
			var k Key
			var created, expires, revoked int64
			if err := scan(&k.ID, &k.Prefix, &k.Name, &k.Account, &k.Limit, &created, &expires, &revoked); err != nil {
				return err
			}
			k.Created, k.Expires, k.Revoked = moment(created), moment(expires), moment(revoked)
			all = append(all, k)
			return nil
		}, account, time.Now().AddDate(0, 0, -30).UnixMilli())
	if err != nil {
		return nil, fmt.Errorf("list keys: %w", err)
	}
	return all, nil
}

// RevokeKey ends a key of an account, or of the operator for an empty one. It
// returns [ErrBadKey] if there is no such good key.
func (r Register) RevokeKey(ctx context.Context, account, id string) error {
	n, err := r.db.Exec(ctx, `UPDATE keys SET revoked = $3 WHERE account = $1 AND id = $2 AND revoked = 0`,
		account, id, time.Now().UnixMilli())
	if err != nil {
		return fmt.Errorf("revoke key %s: %w", id, err)
	}
	if n == 0 {
		return fmt.Errorf("%w: %q is none, or was revoked before", ErrBadKey, id)
	}
	return nil
}

package access

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/plexus-network/plexus/wallet"
)

// ErrLogin means that a challenge was not answered as it should.
var ErrLogin = errors.New("access: the sign-in does not hold")

// Challenge returns a text for an account to sign, and until when. Nothing is
// kept of it: it carries a mark that only this gateway, and those that share
// its database, can make.
func (a *Access) Challenge(address string) (text string, expires time.Time, err error) {
	if _, err := wallet.ParseAddress(address); err != nil {
		return "", time.Time{}, err
	}
	expires = time.Now().Add(a.opt.Challenge).UTC().Truncate(time.Second)
	return a.challenge(address, letters(random(16)), expires), expires, nil
}

// challenge words a challenge.
func (a *Access) challenge(address, nonce string, expires time.Time) string {
	text := fmt.Sprintf("Sign in to a Plexus gateway\ngateway: %s\naddress: %s\nnonce: %s\nexpires: %s\n",
		a.opt.Name, address, nonce, expires.Format(time.RFC3339))
	mac := hmac.New(sha256.New, a.secret)
	mac.Write([]byte(text))
	return text + "mark: " + hex.EncodeToString(mac.Sum(nil)[:16])
}

// Login makes a key for an account that signed a challenge as [wallet.VerifyText]
// wants it. Each challenge makes one key. It returns [ErrLogin] if it does not
// hold.
func (a *Access) Login(ctx context.Context, address, challenge string, public, signature []byte) (string, Key, error) {
	nonce, expires, err := a.answered(address, challenge)
	if err != nil {
		return "", Key{}, err
	}
	if err := wallet.VerifyText(address, challenge, public, signature); err != nil {
		return "", Key{}, fmt.Errorf("%w: %w", ErrLogin, err)
	}
	n, err := a.db.Exec(ctx, `INSERT INTO nonces (nonce, expires) VALUES ($1, $2) ON CONFLICT (nonce) DO NOTHING`, nonce, expires.UnixMilli())
	if err != nil {
		return "", Key{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	if n == 0 {
		return "", Key{}, fmt.Errorf("%w: this challenge was answered before; ask for another", ErrLogin)
	}
	return a.CreateKey(ctx, address, "sign-in of "+time.Now().UTC().Format("2006-01-02 15:04"), 0, a.opt.KeyLife)
}

// answered checks that a challenge is ours, for that address and of this time.
func (a *Access) answered(address, challenge string) (nonce string, expires time.Time, err error) {
	for line := range strings.SplitSeq(challenge, "\n") {
		if v, ok := strings.CutPrefix(line, "nonce: "); ok {
			nonce = v
		}
		if v, ok := strings.CutPrefix(line, "expires: "); ok {
			expires, _ = time.Parse(time.RFC3339, v) // what is none does not match below
		}
	}
	if !hmac.Equal([]byte(challenge), []byte(a.challenge(address, nonce, expires.UTC()))) {
		return "", expires, fmt.Errorf("%w: the challenge is not one of %s for %s; ask for another", ErrLogin, a.opt.Name, address)
	}
	if late := time.Since(expires); late >= 0 {
		return "", expires, fmt.Errorf("%w: the challenge expired %v ago; ask for another", ErrLogin, late.Round(time.Second))
	}
	return nonce, expires, nil
}

package gateway

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/plexus-network/plexus/gateway/access"
)

// kindQuota is the type of an error about money that is spent, which waiting
// does not bring back.
const kindQuota = "insufficient_quota"

// denied turns an error of the access into what a client sees of it. Headers h
// get what belongs to it; nil when they are out already.
func (g *Gateway) denied(h http.Header, err error) *problem {
	var short *access.Exhausted
	var dear *access.TooDear
	switch {
	case errors.As(err, &dear):
		return &problem{
			status: http.StatusPaymentRequired, kind: kindQuota, param: "plexus.max_price", code: "price_too_high",
			message: plain(err) + "; raise plexus.max_price, lower max_tokens, or wait for the quota to start anew",
		}
	case errors.As(err, &short):
		return g.exhausted(h, short)
	case errors.Is(err, access.ErrBadKey):
		return &problem{
			status: http.StatusUnauthorized, kind: kindInvalid, code: "invalid_api_key",
			message: plain(err) + "; sign in again with plexus login, or ask the operator for a key",
		}
	case errors.Is(err, access.ErrNeedsKey):
		return &problem{
			status: http.StatusUnauthorized, kind: kindInvalid, code: "invalid_api_key",
			message: "this gateway serves nobody without an API key of its own: sign in with plexus login, " +
				"and send the key as Authorization: Bearer " + access.Prefix + "…",
		}
	case errors.Is(err, access.ErrLapsed):
		return &problem{
			status: http.StatusServiceUnavailable, kind: kindServer, code: "reservation_lapsed", retry: time.Second,
			message: "the gateway stood still for too long, and another one paid for this request with what had been answered; ask again",
		}
	case errors.Is(err, access.ErrUnavailable):
		g.log.Warn("quotas are not known", "error", err)
		return &problem{
			status: http.StatusServiceUnavailable, kind: kindServer, code: "quota_unknown", retry: 2 * time.Second,
			message: "the gateway cannot look up your quota now; try again in a few seconds",
		}
	}
	return asProblem(err, g)
}

// plain returns an error's text without the name of the package.
func plain(err error) string {
	s := err.Error()
	const prefix = "access: "
	if len(s) > len(prefix) && s[:len(prefix)] == prefix {
		return s[len(prefix):]
	}
	return s
}

// exhausted says that a quota does not suffice, with the numbers and what to do.
func (g *Gateway) exhausted(h http.Header, e *access.Exhausted) *problem {
	s := e.Standing
	p := &problem{status: http.StatusTooManyRequests, kind: kindLimit, code: "rate_limit_exceeded", retry: max(s.Left, time.Second)}
	limit := s.Limit
	if e.Key > 0 {
		limit = e.Key
	}
	p.message = fmt.Sprintf("this request may use up to %d tokens, and of the %d that %s %d are left",
		e.Wanted, limit, grants(e), e.Left)
	never := s.Tier == access.Prepaid && e.Key == 0
	switch {
	case never:
		p.kind, p.code, p.retry = kindQuota, "insufficient_quota", 0
		p.message += "; lower max_tokens, or " + g.payment()
	case e.Wanted > limit:
		p.retry = 0
		p.message += "; it will never fit: lower max_tokens or shorten the prompt, or " + g.more(e)
		never = true
	default:
		p.message += fmt.Sprintf("; it starts anew in %v, at block %d: wait, lower max_tokens, or %s",
			p.retry.Round(time.Second), s.Next, g.more(e))
	}
	if h != nil && (never || p.retry > time.Minute) {
		h.Set("X-Should-Retry", "false") // or clients would try in vain for as long as they do
	}
	return p
}

// grants says in words what a quota comes from.
func grants(e *access.Exhausted) string {
	switch {
	case e.Key > 0:
		return "this key may use in an epoch"
	case e.Standing.Tier == access.Stake:
		return "your stake with this gateway's validator gives in an epoch"
	case e.Standing.Tier == access.Prepaid:
		return "you paid for"
	case e.Standing.Tier == access.Operator:
		return "the operator gave this key for an epoch"
	default:
		return "an address without a key or stake may use in an epoch"
	}
}

// more says how to get a greater quota.
func (g *Gateway) more(e *access.Exhausted) string {
	validator := g.models[0].Validator.Account
	switch {
	case e.Key > 0:
		return "make a key with a greater limit"
	case e.Standing.Tier == access.Operator:
		return "ask the operator for more"
	case e.Standing.Tier == access.Stake:
		return "delegate more to validator " + validator
	default:
		return "sign in with plexus login and delegate stake to validator " + validator
	}
}

// payment says how to prepay.
func (g *Gateway) payment() string {
	account, price := g.access.Deposits()
	return fmt.Sprintf("send PLX to %s: 1,000 tokens cost %v", account, price)
}

func setInt(h http.Header, name string, n int64) { h.Set(name, strconv.FormatInt(n, 10)) }

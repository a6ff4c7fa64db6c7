package gateway

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/plexus-network/plexus/coin"
	"github.com/plexus-network/plexus/gateway/access"
	"github.com/plexus-network/plexus/yuma"
)

// routeAccess adds what is there where there are quotas and receipts.
func (g *Gateway) routeAccess(mux *http.ServeMux) {
	if g.receipts != nil {
		mux.Handle("/v1/receipts", g.only(http.MethodGet, g.listRoots))
		mux.Handle("/v1/receipts/{id}", g.only(http.MethodGet, g.showReceipt))
	}
	if g.access == nil {
		return
	}
	mux.Handle("/v1/auth/challenge", g.only(http.MethodPost, g.small(g.challenge)))
	mux.Handle("/v1/auth/login", g.only(http.MethodPost, g.small(g.login)))
	mux.Handle("GET /v1/keys", g.known(g.listKeys))
	mux.Handle("POST /v1/keys", g.known(g.createKey))
	mux.Handle("DELETE /v1/keys/{id}", g.known(g.revokeKey))
	mux.Handle("/v1/account", g.only(http.MethodGet, g.known(g.showAccount)))
}

// asked is a request about the caller's own account; body is at most 16 KiB.
type asked func(w http.ResponseWriter, r *http.Request, c access.Caller, body []byte) *problem

// known runs next for the caller of a request.
func (g *Gateway) known(next asked) http.HandlerFunc {
	return g.small(func(w http.ResponseWriter, r *http.Request, _ access.Caller, body []byte) *problem {
		c, bad := g.identify(w, r)
		if bad != nil {
			return bad
		}
		return next(w, r, c, body)
	})
}

// small runs next on a small body.
func (g *Gateway) small(next asked) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		const most = 16 << 10
		w.Header().Set("Cache-Control", "no-store")
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(g.limits.Client)) // some servers have none
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
		bad := tooBig(most)
		if err == nil {
			bad = next(w, r, access.Caller{}, body)
		}
		if bad != nil && bad != errGone {
			bad.write(w)
		}
	}
}

// challenge serves POST /v1/auth/challenge.
func (g *Gateway) challenge(w http.ResponseWriter, _ *http.Request, _ access.Caller, body []byte) *problem {
	var in struct {
		Address string `json:"address"`
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return notJSON(err)
	}
	text, expires, err := g.access.Challenge(in.Address)
	if err != nil {
		return invalid("address", "%v", err)
	}
	writeJSON(w, http.StatusOK, map[string]any{"challenge": text, "expires": expires})
	return nil
}

// login serves POST /v1/auth/login.
func (g *Gateway) login(w http.ResponseWriter, r *http.Request, _ access.Caller, body []byte) *problem {
	var in struct {
		Address   string `json:"address"`
		Challenge string `json:"challenge"`
		PublicKey []byte `json:"public_key"`
		Signature []byte `json:"signature"`
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return notJSON(err)
	}
	key, k, err := g.access.Login(r.Context(), in.Address, in.Challenge, in.PublicKey, in.Signature)
	switch {
	case errors.Is(err, access.ErrLogin):
		return &problem{status: http.StatusUnauthorized, kind: kindInvalid, code: "invalid_login", message: plain(err)}
	case errors.Is(err, access.ErrTooManyKeys):
		return tooManyKeys(err)
	case err != nil:
		return g.denied(w.Header(), err)
	}
	writeJSON(w, http.StatusOK, map[string]any{"key": key, "id": k.ID, "expires": k.Expires})
	return nil
}

func tooManyKeys(err error) *problem {
	return &problem{
		status: http.StatusConflict, kind: kindInvalid, code: "too_many_keys",
		message: plain(err) + "; revoke one with DELETE /v1/keys/{id}",
	}
}

// owner returns the account whose keys a caller manages.
func owner(c access.Caller) (string, *problem) {
	if c.Account != "" {
		return c.Account, nil
	}
	return "", &problem{
		status: http.StatusForbidden, kind: kindInvalid, code: "no_account",
		message: "keys are managed by the account that owns them: send a key that plexus login made",
	}
}

// listKeys serves GET /v1/keys.
func (g *Gateway) listKeys(w http.ResponseWriter, r *http.Request, c access.Caller, _ []byte) *problem {
	account, bad := owner(c)
	if bad != nil {
		return bad
	}
	keys, err := g.access.Keys(r.Context(), account)
	if err != nil {
		return asProblem(err, g)
	}
	writeJSON(w, http.StatusOK, map[string]any{"object": "list", "data": keys})
	return nil
}

// createKey serves POST /v1/keys.
func (g *Gateway) createKey(w http.ResponseWriter, r *http.Request, c access.Caller, body []byte) *problem {
	account, bad := owner(c)
	if bad != nil {
		return bad
	}
	var in struct {
		Name  string `json:"name"`
		Limit int64  `json:"limit"`
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return notJSON(err)
	}
	key, k, err := g.access.CreateKey(r.Context(), account, in.Name, in.Limit, 0)
	switch {
	case errors.Is(err, access.ErrTooManyKeys):
		return tooManyKeys(err)
	case errors.Is(err, access.ErrBadName):
		return invalid("name", "%s", plain(err))
	case errors.Is(err, access.ErrBadLimit):
		return invalid("limit", "%s", plain(err))
	case err != nil:
		return asProblem(err, g)
	}
	writeJSON(w, http.StatusOK, struct {
		Secret string `json:"key"`
		access.Key
	}{key, k})
	return nil
}

// revokeKey serves DELETE /v1/keys/{id}.
func (g *Gateway) revokeKey(w http.ResponseWriter, r *http.Request, c access.Caller, _ []byte) *problem {
	account, bad := owner(c)
	if bad != nil {
		return bad
	}
	id := r.PathValue("id")
	err := g.access.RevokeKey(r.Context(), account, id)
	switch {
	case errors.Is(err, access.ErrBadKey):
		return &problem{
			status: http.StatusNotFound, kind: kindInvalid, code: "not_found",
			message: "you have no such key that is good; GET /v1/keys lists yours",
		}
	case err != nil:
		return asProblem(err, g)
	}
	writeJSON(w, http.StatusOK, map[string]any{"id": id, "deleted": true})
	return nil
}

// accountReport is what GET /v1/account answers.
type accountReport struct {
	Address string        `json:"address"` // empty without one
	Quota   quotaReport   `json:"quota"`
	Stake   coin.Amount   `json:"stake_nplx"` // delegated to the gateway's validator
	Prepaid prepaidReport `json:"prepaid"`
	Usage   []access.Use  `json:"usage"` // by day and model, the newest first
}

type quotaReport struct {
	Tier      access.Tier `json:"tier"`
	Limit     int64       `json:"limit"` // tokens
	Used      int64       `json:"used"`
	Remaining int64       `json:"remaining"`
	Epoch     uint64      `json:"epoch"`
	Height    yuma.Height `json:"resets_height"`
	In        float64     `json:"resets_in_s"`
}

type prepaidReport struct {
	Balance coin.Amount `json:"balance_nplx"`
	Spent   coin.Amount `json:"spent_nplx"`
	Account string      `json:"deposit_account,omitempty"` // where to send money
	Price   coin.Amount `json:"price_nplx"`                // of 1,000 tokens; 0 if none are sold
}

// showAccount serves GET /v1/account.
func (g *Gateway) showAccount(w http.ResponseWriter, r *http.Request, c access.Caller, _ []byte) *problem {
	s, err := g.access.Standing(r.Context(), c)
	if err != nil {
		return g.denied(w.Header(), err)
	}
	used, err := g.access.Usage(r.Context(), c)
	if err != nil {
		return g.denied(w.Header(), err)
	}
	out := accountReport{
		Address: c.Account, Stake: s.Own, Usage: used,
		Quota: quotaReport{
			Tier: s.Tier, Limit: s.Limit, Used: s.Limit - s.Remaining, Remaining: s.Remaining,
			Epoch: s.Epoch, Height: s.Next, In: round4(s.Left.Seconds()),
		},
		Prepaid: prepaidReport{Balance: s.Balance, Spent: s.Spent},
	}
	out.Prepaid.Account, out.Prepaid.Price = g.access.Deposits()
	rate(w.Header(), s)
	writeJSON(w, http.StatusOK, out)
	return nil
}

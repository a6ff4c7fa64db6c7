package console

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/plexus-network/plexus/ledger"
	"github.com/plexus-network/plexus/market"
	"github.com/plexus-network/plexus/market/sdl"
	"github.com/plexus-network/plexus/templates"
	"github.com/plexus-network/plexus/tenant"
)

// A rate is a price in words: per block, and at the pace of the chain's latest
// blocks per hour and per 30 days.
type rate struct {
	Block string `json:"block"`
	Hour  string `json:"hour"`
	Month string `json:"month"`
}

const month = 30 * 24 * time.Hour

func rateOf(p market.Price, block time.Duration) rate {
	over := func(d time.Duration) string {
		sum, ok := p.Amount.Times(uint64(d / max(block, time.Millisecond)))
		if !ok {
			return "more than can be counted"
		}
		return tenant.Money(sum.String(), p.Denom)
	}
	return rate{tenant.Money(p.Amount.String(), p.Denom), over(time.Hour), over(month)}
}

// account is whose console this is, and on which chain.
func (c *Console) account(r *http.Request) (any, error) {
	ctx := r.Context()
	head, err := c.o.Chain.Head(ctx)
	if err != nil {
		return nil, err
	}
	id, err := c.o.Chain.ChainID(ctx)
	if err != nil {
		return nil, err
	}
	block, err := c.o.Chain.BlockTime(ctx)
	if err != nil {
		return nil, err
	}
	balance, err := c.o.Chain.Balance(ctx, c.o.Tenant.Address())
	if err != nil {
		return nil, err
	}
	params, err := c.o.Chain.Market().Params(ctx)
	if err != nil {
		return nil, err
	}
	least := map[string]string{}
	for _, d := range params.Currencies {
		least[d.Denom] = tenant.Money(fmt.Sprint(d.MinDeposit), d.Denom)
	}
	return map[string]any{
		"name": c.o.Name, "address": c.o.Tenant.Address(), "balance": balance.String(),
		"chain_id": id, "height": head.Height, "block_seconds": block.Seconds(), "least_deposits": least,
	}, nil
}

// A template is an SDL file to begin with.
type template struct {
	Name  string `json:"name"`
	Title string `json:"title"`
	Text  string `json:"text"`
}

func (c *Console) templates(*http.Request) (any, error) {
	var all []template
	for _, t := range templates.All() {
		all = append(all, template{t.Name, t.Title, t.SDL})
	}
	return all, nil
}

// parse reads an SDL. What a template left to its tenant is a fault until it
// is filled in.
func (f file) parse() (*sdl.SDL, error) {
	parsed, err := sdl.Parse([]byte(f.SDL))
	if err != nil {
		return nil, err
	}
	var left []sdl.Problem
	for _, b := range templates.Blanks(f.SDL) {
		left = append(left, sdl.Problem{Line: b.Line, Text: "write in place of <<…>>: " + b.About})
	}
	if len(left) > 0 {
		return nil, &sdl.Error{Problems: left}
	}
	return parsed, nil
}

// An offer is a provider that may bid on a group, with its price over time.
type offer struct {
	tenant.Candidate
	Rate *rate `json:"rate,omitempty"` // nil if it would not bid
}

func (c *Console) offers(ctx context.Context, g market.GroupSpec, block time.Duration) ([]offer, error) {
	candidates, err := c.o.Tenant.Candidates(ctx, g)
	if err != nil {
		return nil, err
	}
	all := make([]offer, len(candidates))
	for i, one := range candidates {
		all[i].Candidate = one
		if p, err := parsePrice(one.Screening.Screening.Price); one.Screening.Screening.OK && err == nil {
			at := rateOf(p, block)
			all[i].Rate = &at
		}
	}
	return all, nil
}

// parsePrice reads a price as a provider writes it: "12.5nplx".
func parsePrice(text string) (market.Price, error) {
	end := strings.IndexFunc(text, func(r rune) bool { return (r < '0' || r > '9') && r != '.' })
	if end < 0 {
		return market.Price{}, fmt.Errorf("price %q has no denom", text)
	}
	amount, err := market.ParseExact(text[:end])
	p := market.Price{Denom: text[end:], Amount: amount}
	if err == nil {
		err = p.Validate()
	}
	return p, err
}

// providers lists who sells, and for what a core, 1 GiB and 10 GiB of disk.
func (c *Console) providers(r *http.Request) (any, error) {
	block, err := c.o.Chain.BlockTime(r.Context())
	if err != nil {
		return nil, err
	}
	all, err := c.offers(r.Context(), tenant.Sample(), block)
	return map[string]any{"providers": all}, err
}

// A file is the SDL of a request.
type file struct {
	SDL string `json:"sdl"`
}

// screen asks providers for what they would take to serve the groups of an
// SDL, and if they would not, why.
func (c *Console) screen(r *http.Request) (any, error) {
	var in file
	if err := read(r, &in); err != nil {
		return nil, err
	}
	parsed, err := in.parse()
	if err != nil {
		return nil, err
	}
	block, err := c.o.Chain.BlockTime(r.Context())
	if err != nil {
		return nil, err
	}
	type group struct {
		Number    int     `json:"number"`
		Name      string  `json:"name"`
		Providers []offer `json:"providers"`
	}
	groups := []group{}
	for i, g := range parsed.Groups {
		all, err := c.offers(r.Context(), g, block)
		if err != nil {
			return nil, err
		}
		groups = append(groups, group{i + 1, g.Name, all})
	}
	return map[string]any{"groups": groups}, nil
}

// A problem is a fault in an SDL, or a warning.
type problem struct {
	Line    int    `json:"line"`
	Column  int    `json:"column,omitempty"`
	Path    string `json:"path,omitempty"`
	Text    string `json:"text"`
	Warning bool   `json:"warning,omitempty"`
}

func problems(all []sdl.Problem, warnings bool) []problem {
	out := []problem{}
	for _, p := range all {
		out = append(out, problem{p.Line, p.Column, p.Path, p.Text, warnings})
	}
	return out
}

// check tells of an SDL what plexus sdl check does, and the most that it may
// cost.
func (c *Console) check(r *http.Request) (any, error) {
	var in file
	if err := read(r, &in); err != nil {
		return nil, err
	}
	parsed, err := in.parse()
	if err != nil {
		_, no := refused(err)
		return map[string]any{"valid": false, "problems": no.Problems}, nil
	}
	block, err := c.o.Chain.BlockTime(r.Context())
	if err != nil {
		return nil, err
	}
	return map[string]any{
		"valid": true, "problems": problems(parsed.Warnings, true), "summary": sdl.Summarize("", []byte(in.SDL)),
		"highest": highest(parsed.Groups, block), "least_deposit": c.least(r.Context(), parsed),
	}, nil
}

// highest is the most that all groups may cost together; groups of several
// denoms have no sum.
func highest(groups []market.GroupSpec, block time.Duration) *rate {
	sum := groups[0].Price()
	for _, g := range groups[1:] {
		p := g.Price()
		var ok bool
		if sum.Amount, ok = sum.Amount.Add(p.Amount); !ok || p.Denom != sum.Denom {
			return nil
		}
	}
	at := rateOf(sum, block)
	return &at
}

// least is the least deposit for a file, or why there is none.
func (c *Console) least(ctx context.Context, f *sdl.SDL) map[string]string {
	m, err := c.o.Tenant.LeastDeposit(ctx, f.Groups[0].Price().Denom)
	if err != nil {
		return map[string]string{"error": err.Error()}
	}
	return map[string]string{"amount": moneyText(m)}
}

func moneyText(m ledger.Money) string { return tenant.Money(fmt.Sprint(uint64(m.Amount)), m.Denom) }

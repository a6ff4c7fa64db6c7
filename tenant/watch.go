package tenant

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	marketv1 "github.com/plexus-network/plexus/api/plexus/market/v1"
	"github.com/plexus-network/plexus/coin"
	"github.com/plexus-network/plexus/ledger"
	"github.com/plexus-network/plexus/market"
	"github.com/plexus-network/plexus/provider/alert"
)

// A Purse is where a deployment's money stands.
type Purse struct {
	DSeq   uint64
	Open   bool
	Reason string // why it closed
	Runway Runway
	PaidIn ledger.Money // altogether since it began, the deposit too
}

// Purses returns the purses of deployments, or without any named of all that
// are open.
func (t *Tenant) Purses(ctx context.Context, dseqs ...uint64) ([]Purse, error) {
	if len(dseqs) == 0 {
		open, err := t.market().Deployments(ctx, marketv1.QueryDeploymentsRequest{Owner: t.Address(), State: marketv1.DeploymentState_DEPLOYMENT_STATE_ACTIVE})
		if err != nil {
			return nil, err
		}
		for _, d := range open {
			dseqs = append(dseqs, d.Id.Dseq)
		}
	}
	block, err := t.chain.BlockTime(ctx)
	if err != nil {
		return nil, err
	}
	var all []Purse
	for _, dseq := range dseqs {
		got, err := t.market().Deployment(ctx, t.name(dseq))
		if err != nil {
			return nil, err
		}
		p := Purse{DSeq: dseq, Open: got.Deployment.State == marketv1.DeploymentState_DEPLOYMENT_STATE_ACTIVE, Runway: runway(got, block)}
		if got.Deployment.Reason != 0 {
			p.Reason = market.Reason(got.Deployment.Reason).String()
		}
		p.PaidIn = ledger.Money{Denom: got.Deployment.Denom, Amount: market.Amount(got.Escrow.Funds + got.Escrow.Account.Paid)}
		all = append(all, p)
	}
	return all, nil
}

// purses is what a Watch needs of a [Tenant].
type purses interface {
	Purses(ctx context.Context, dseqs ...uint64) ([]Purse, error)
	TopUp(ctx context.Context, dseq uint64, sum ledger.Money) error
}

// A Notice is something that a tenant should know of a deployment's money.
type Notice struct {
	Time     time.Time  `json:"time"`
	DSeq     uint64     `json:"dseq,omitempty"` // 0 means all of them
	Kind     alert.Kind `json:"kind"`
	Resolved bool       `json:"resolved,omitempty"` // the condition has ended
	Runway   *Runway    `json:"runway,omitempty"`
	Paid     string     `json:"paid,omitempty"` // by a top-up
	Text     string     `json:"text"`
}

// WatchOptions say what a [Watch] looks for and may pay. Less is needed.
type WatchOptions struct {
	Deployments []uint64      // none means all that are open, also those of later
	Less        time.Duration // money that lasts less than this is too little
	Every       time.Duration // between looks; 0 means 1 min

	// TopUp is paid in as often as the money lasts less than Less, and no more
	// once AtMost was paid into a deployment altogether, by whomever, its deposit
	// included. The last payment is what is missing to AtMost, if that is less. 0
	// pays nothing. Two watches at a time do not see each other's payments before
	// they are in a block, so let there be one.
	TopUp, AtMost coin.Amount

	Tell func(Notice) // hears of what changes; nil is deaf
}

// A Watch looks after the money of deployments. It is not for several
// goroutines.
type Watch struct {
	o      WatchOptions
	purses purses
	open   map[uint64]bool   // seen open at the look before
	low    map[uint64]string // what was told of those with too little
	away   time.Time         // since when the chain does not answer
	blind  bool              // that was told
}

// Bounds of a Watch: how many payments one look makes into a deployment, after
// how long without an answer the chain is told to be away, and how long one of
// which it is not known whether it is in a block is waited for, which is longer
// than a transaction is valid.
const (
	maxPayments = 16
	awayAfter   = 5 * time.Minute
	hesitation  = 3 * time.Minute
)

// NewWatch returns a Watch, or what is wrong with its options.
func (t *Tenant) NewWatch(o WatchOptions) (*Watch, error) { return newWatch(t, o) }

func newWatch(p purses, o WatchOptions) (*Watch, error) {
	if o.Every == 0 {
		o.Every = time.Minute
	}
	if o.Tell == nil {
		o.Tell = func(Notice) {}
	}
	switch {
	case o.Less <= 0:
		return nil, fmt.Errorf("watch: money that lasts less than %v: want a time, as 24h", o.Less)
	case o.Every < time.Second:
		return nil, fmt.Errorf("watch: a look every %v: want a second at least", o.Every)
	case o.TopUp > 0 && o.AtMost == 0:
		return nil, fmt.Errorf("watch: top-ups of %v need a limit: the most that may be paid into a deployment altogether", o.TopUp)
	case o.TopUp == 0 && o.AtMost > 0:
		return nil, fmt.Errorf("watch: a limit of %v for top-ups, and none of them: say how much each is", o.AtMost)
	}
	return &Watch{o: o, purses: p, open: map[uint64]bool{}, low: map[uint64]string{}}, nil
}

// Run looks until ctx ends or, if deployments are named, all of them have. A
// chain that does not answer is told and outlived; a deployment that is not
// there is [ledger.ErrNotFound].
func (w *Watch) Run(ctx context.Context) error {
	for {
		_, err := w.Look(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		switch {
		case errors.Is(err, ledger.ErrNotFound):
			return err
		case err != nil:
			w.missed(err)
		}
		if err == nil && len(w.o.Deployments) > 0 && len(w.open) == 0 {
			return nil
		}
		if !sleep(ctx, w.o.Every) {
			return ctx.Err()
		}
	}
}

// missed notes a look that saw nothing.
func (w *Watch) missed(err error) {
	if w.away.IsZero() {
		w.away = time.Now()
	}
	if gone := time.Since(w.away); !w.blind && gone >= awayAfter {
		w.blind = true
		w.tell(Notice{Kind: alert.ChainAway, Text: fmt.Sprintf("nobody watches the money: the chain has not answered for %v: %v", gone.Round(time.Second), err)})
	}
}

// Look looks once, tops up where it may, tells what changed, and returns how
// many deployments have too little.
func (w *Watch) Look(ctx context.Context) (short int, err error) {
	all, err := w.purses.Purses(ctx, w.o.Deployments...)
	if err != nil {
		return 0, err
	}
	if w.blind {
		w.tell(Notice{Kind: alert.ChainAway, Resolved: true, Text: "the chain answers again"})
	}
	w.away, w.blind = time.Time{}, false
	before := w.open
	w.open = map[uint64]bool{}
	for _, p := range all {
		if p.Open {
			w.open[p.DSeq] = true
		}
	}
	if err := w.ended(ctx, all, before); err != nil {
		return 0, err
	}
	for _, p := range all {
		if !p.Open {
			continue
		}
		low, err := w.tend(ctx, p)
		if err != nil {
			return short, err
		}
		if low {
			short++
		}
	}
	return short, nil
}

// ended tells of deployments that closed since the look before.
func (w *Watch) ended(ctx context.Context, all []Purse, before map[uint64]bool) error {
	var gone []uint64
	for dseq := range before {
		if !w.open[dseq] {
			gone = append(gone, dseq)
		}
	}
	slices.Sort(gone)
	for _, dseq := range gone {
		at := slices.IndexFunc(all, func(p Purse) bool { return p.DSeq == dseq })
		p := Purse{DSeq: dseq}
		if at >= 0 {
			p = all[at]
		} else if found, err := w.purses.Purses(ctx, dseq); err == nil {
			p = found[0]
		} else if !errors.Is(err, ledger.ErrNotFound) {
			w.open[dseq] = true // asked again at the next look
			return err
		}
		delete(w.low, dseq)
		w.tell(Notice{DSeq: dseq, Kind: alert.DeploymentClosed, Text: closedText(p)})
	}
	return nil
}

func closedText(p Purse) string {
	if p.Reason == "" {
		return fmt.Sprintf("deployment %d is closed", p.DSeq)
	}
	return fmt.Sprintf("deployment %d is closed: %s", p.DSeq, p.Reason)
}

// tend looks after one purse, and returns whether it has too little.
func (w *Watch) tend(ctx context.Context, p Purse) (low bool, err error) {
	why := ""
	for range maxPayments {
		if w.o.TopUp == 0 || !w.short(p) {
			break
		}
		var next Purse
		if next, why, err = w.pay(ctx, p); err != nil {
			return true, err
		}
		if why != "" {
			break
		}
		p = next
	}
	if !w.short(p) {
		if _, told := w.low[p.DSeq]; told {
			delete(w.low, p.DSeq)
			w.tell(Notice{DSeq: p.DSeq, Kind: alert.RunwayLow, Resolved: true, Runway: &p.Runway, Text: fmt.Sprintf("deployment %d has %v", p.DSeq, p.Runway)})
		}
		return false, nil
	}
	if told, ok := w.low[p.DSeq]; !ok || told != why {
		w.low[p.DSeq] = why
		w.tell(Notice{DSeq: p.DSeq, Kind: alert.RunwayLow, Runway: &p.Runway, Text: w.lowText(p, why)})
	}
	return true, nil
}

// short tells whether a purse's money lasts less than is wanted.
func (w *Watch) short(p Purse) bool {
	return p.Runway.Seconds >= 0 && p.Runway.Seconds < int64(w.o.Less/time.Second)
}

func (w *Watch) lowText(p Purse, why string) string {
	text := fmt.Sprintf("deployment %d has %v, and less than %v is too little", p.DSeq, p.Runway, w.o.Less)
	if why != "" {
		return text + "; not topped up: " + why
	}
	return text + fmt.Sprintf("; plexus deploy topup %d AMOUNT pays more in", p.DSeq)
}

// pay tops a purse up and returns how it stands then, or why it was not.
func (w *Watch) pay(ctx context.Context, p Purse) (then Purse, why string, err error) {
	paid, most := coin.Amount(p.PaidIn.Amount), w.o.AtMost
	switch {
	case p.PaidIn.Denom != coin.Denom:
		return p, fmt.Sprintf("it is paid in %s, and top-ups are in PLX", p.PaidIn.Denom), nil
	case paid >= most:
		return p, fmt.Sprintf("%v were paid in altogether, and %v is the limit", paid, most), nil
	}
	sum := min(w.o.TopUp, most-paid)
	failed := w.purses.TopUp(ctx, p.DSeq, ledger.Money{Denom: coin.Denom, Amount: market.Amount(sum)})
	var refused *ledger.TxError
	if errors.As(failed, &refused) {
		return p, failed.Error(), nil
	}
	if failed != nil && !sleep(ctx, hesitation) { // it may be in a block yet: nothing more is paid until it cannot
		return p, "", ctx.Err()
	}
	all, err := w.purses.Purses(ctx, p.DSeq)
	if err != nil {
		return p, "", err
	}
	then = all[0]
	if failed != nil && then.PaidIn.Amount == p.PaidIn.Amount {
		return then, failed.Error(), nil
	}
	w.tell(Notice{DSeq: p.DSeq, Kind: alert.ToppedUp, Runway: &then.Runway, Paid: sum.String(), Text: fmt.Sprintf(
		"deployment %d: %v were paid in, %v of at most %v altogether; it has %v", p.DSeq, sum, coin.Amount(then.PaidIn.Amount), most, then.Runway)})
	return then, "", nil
}

func (w *Watch) tell(n Notice) {
	n.Time = time.Now().UTC()
	w.o.Tell(n)
}

// Alert is the notice as webhooks hear it.
func (n Notice) Alert(tenant string) alert.Alert {
	a := alert.Alert{Time: n.Time, Tenant: tenant, Kind: n.Kind, Resolved: n.Resolved, Text: n.Text}
	if n.DSeq != 0 {
		a.Subject = fmt.Sprint(n.DSeq)
	}
	return a
}
